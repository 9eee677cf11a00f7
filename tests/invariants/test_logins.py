"""Invariant: however logins are spelt, raced or cut short, nobody gets more than he was given, and what ended stays ended."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.invariants.node import LOST, eventually, exchange, together
from tests.leases.conftest import Target, offer
from tests.plugins.auth.cert.authority import make

ROOTS = [
    "root",
    "ROOT",
    " root",
    "Root ",
    "root\n",
    "\troot",
    "root\u00a0",
    "root\u200b",
    "root\u0000",
    "\uff52\uff4f\uff4f\uff54",
    "ro\u0130t",
    "root/",
    "./root",
    "default,root",
    '["root"]',
    "default, ROOT",
]


@pytest.fixture(scope="module")
def places(node) -> dict[str, tuple[str, dict[str, object], str]]:
    """Every place that takes policies: path, what else it needs, and the field."""
    for method in ("userpass", "approle", "ldap", "jwt", "cert", "kubernetes", "apikey"):
        node.ok("POST", f"sys/auth/r-{method}", {"type": method})
    node.ok("POST", "identity/entity", {"name": "r-known"})
    node.ok("POST", "identity/group", {"name": "r-known"})
    node.ok("POST", "auth/r-userpass/users/known", {"password": "x"})
    node.ok("POST", "auth/r-approle/role/known", {})
    key = node.ok("POST", "auth/r-apikey/keys", {"name": "known"}).data["id"]
    jwt = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["a"]}
    bound = {"bound_service_account_names": ["a"], "bound_service_account_namespaces": ["b"]}
    certificate = {"certificate": make("ca", ca=True).pem}
    return {
        "entity": ("identity/entity", {}, "policies"),
        "entity by name": ("identity/entity/name/r-known", {}, "policies"),
        "group": ("identity/group", {}, "policies"),
        "group by name": ("identity/group/name/r-known", {}, "policies"),
        "ldap user": ("auth/r-ldap/users/u", {}, "policies"),
        "ldap group": ("auth/r-ldap/groups/g", {}, "policies"),
        "ldap": ("auth/r-ldap/config", {"url": "ldap://127.0.0.1:1", "userdn": "dc=a"}, "token_policies"),
        "userpass": ("auth/r-userpass/users/new", {"password": "x"}, "token_policies"),
        "userpass, old name": ("auth/r-userpass/users/known", {}, "policies"),
        "userpass policies": ("auth/r-userpass/users/known/policies", {}, "token_policies"),
        "approle": ("auth/r-approle/role/new", {}, "token_policies"),
        "approle, old name": ("auth/r-approle/role/known", {}, "policies"),
        "approle policies": ("auth/r-approle/role/known/policies", {}, "token_policies"),
        "jwt": ("auth/r-jwt/role/new", jwt, "token_policies"),
        "cert": ("auth/r-cert/certs/new", certificate, "token_policies"),
        "kubernetes": ("auth/r-kubernetes/role/new", bound, "token_policies"),
        "apikey": ("auth/r-apikey/keys", {"name": "new"}, "token_policies"),
        "known apikey": (f"auth/r-apikey/keys/{key}", {}, "token_policies"),
        "token role": ("auth/token/roles/r-new", {}, "allowed_policies"),
    }


def test_no_spelling_of_root_is_taken_as_a_policy_anywhere(node, places):
    taken = []
    for name, (path, besides, field) in places.items():
        for spelling in ROOTS:
            for given in (spelling, [spelling], ["default", spelling]):
                if given == ['["root"]']:
                    continue
                reply = node.call("POST", path, {**besides, field: given})
                if reply.status != 400 and not (name == "token role" and reply.status == 204):
                    taken.append((name, given, reply))
    assert taken == []


def test_a_role_that_allows_every_policy_does_not_make_root_of_a_child(node, fresh):
    node.policy(fresh, 'path "auth/token/create*" { capabilities = ["update", "sudo"] }')
    token = node.mint(fresh)
    roles = (
        {"allowed_policies_glob": ["*"]},
        {"allowed_policies": ["root"]},
        {"allowed_policies_glob": ["r*", "R*"]},
    )
    for role in roles:
        if node.call("POST", f"auth/token/roles/{fresh}", role).status != 204:
            continue
        for spelling in ROOTS:
            for path in (f"auth/token/create/{fresh}", "auth/token/create", "auth/token/create-orphan"):
                reply = node.call("POST", path, {"policies": [spelling]}, token=token)
                assert reply.status == 400, (path, spelling, reply)


# What is asked without a token


@pytest.mark.parametrize(
    "path", ["auth/userpass/login/x", "auth/approle/login", "sys/mfa/validate", "sys/unseal", "secret/a"]
)
def test_a_long_body_without_a_token_is_refused_before_it_is_read(node, path):
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n"
    answer = exchange(node.server.address, head.encode() + b'{"a":', 5)  # the rest never comes
    assert answer.startswith(b"HTTP/1.1 413 "), answer


def test_reading_how_an_auth_method_is_mounted_needs_sudo(node, fresh):
    node.policy(fresh, 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    token = node.mint(fresh)
    for method, path in (("GET", "sys/auth/token"), ("GET", "sys/auth/token/tune"), ("POST", "sys/auth/x")):
        assert node.call(method, path, {} if method == "POST" else None, token=token).status == 403


def test_codes_of_a_second_proof_are_never_recorded_in_clear(node):
    path = "sys/config/auditing/request-headers/X-Vault-MFA"
    assert node.call("POST", path, {"hmac": False}).status == 400
    assert node.call("POST", path, {"hmac": True}).status == 204
    node.ok("DELETE", path)


def test_a_key_that_is_revoked_gives_no_token_to_a_login_that_still_waits_for_its_second_proof(node, fresh):
    node.ok("POST", f"sys/auth/{fresh}", {"type": "apikey"})
    accessor = node.ok("GET", f"sys/auth/{fresh}").data["accessor"]
    method = node.ok("POST", "identity/mfa/method/totp", {"issuer": "us"}).data["method_id"]
    rule = {"mfa_method_ids": [method], "auth_method_accessors": [accessor]}
    node.ok("POST", f"identity/mfa/login-enforcement/{fresh}", rule)
    key = node.ok("POST", f"auth/{fresh}/keys", {"name": "a"}).data

    def begun() -> str:
        answer = node.ok("POST", f"auth/{fresh}/login", {"api_key": key["api_key"]}, token="")
        return answer.body["auth"]["mfa_requirement"]["mfa_request_id"]

    waiting = [begun(), begun()]
    node.ok("DELETE", f"identity/mfa/login-enforcement/{fresh}")  # so that no proof is owed any more
    made = node.call("POST", "sys/mfa/validate", {"mfa_request_id": waiting[0]}, token="")
    assert made.status == 200, made
    node.ok("POST", f"auth/{fresh}/keys/{key['id']}/revoke", {})
    token = made.body["auth"]["client_token"]
    eventually(lambda: node.call("GET", "auth/token/lookup-self", token=token).status == 403)
    assert node.call("POST", "sys/mfa/validate", {"mfa_request_id": waiting[1]}, token="").status == 403


# Races


@pytest.fixture
def people(node, fresh) -> str:
    """A mount of userpass with the user ``ann``."""
    node.ok("POST", f"sys/auth/{fresh}", {"type": "approle"})
    node.ok(
        "POST", f"auth/{fresh}/role/app", {"bind_secret_id": False, "secret_id_bound_cidrs": ["127.0.0.1/32"]}
    )
    node.ok("POST", f"auth/{fresh}/role/app/role-id", {"role_id": fresh})
    return fresh


def login(line, mount: str):
    return line.call("POST", f"auth/{mount}/login", {"role_id": mount}, token="")


def revoked(line, token: str) -> int:
    return line.call("POST", "auth/token/revoke-self", token=token).status


def test_a_login_token_that_is_renewed_while_it_is_revoked_is_revoked(node, people):
    lines = node.spread()[:8]
    for _ in range(10):
        token = login(node, people).body["auth"]["client_token"]
        renew = [
            lambda line=line, token=token: line.call("POST", "auth/token/renew-self", {}, token=token).status
            for line in lines[1:]
        ]
        statuses = together([lambda token=token: revoked(lines[0], token), *renew])
        assert statuses[0] == 204 and set(statuses[1:]) <= {200, 403}
        assert {line.call("GET", "auth/token/lookup-self", token=token).status for line in lines} == {403}


def test_no_token_of_an_entity_works_once_it_is_disabled_whenever_it_logged_in(node, people):
    lines = node.spread()[:8]
    entity = login(node, people).body["auth"]["entity_id"]
    for _ in range(6):
        node.ok("POST", f"identity/entity/id/{entity}", {"disabled": False})
        jobs = [lambda line=line: login(line, people) for line in lines[1:]]
        disable = lambda: lines[0].ok("POST", f"identity/entity/id/{entity}", {"disabled": True})  # noqa: E731
        replies = together([disable, *jobs])[1:]
        tokens = [reply.body["auth"]["client_token"] for reply in replies if reply.status == 200]
        found = {
            line.call("GET", "auth/token/lookup-self", token=t).status for t in tokens for line in lines[:3]
        }
        assert found <= {403} and {reply.status for reply in replies} <= {200, 403}
        assert login(node, people).status == 403
    node.ok("POST", f"identity/entity/id/{entity}", {"disabled": False})


def test_a_batch_token_dies_with_its_parent_in_every_worker_at_once(node, fresh):
    node.policy(fresh, 'path "auth/token/*" { capabilities = ["update", "read", "sudo"] }')
    lines = node.spread()[:8]
    for _ in range(6):
        parent = node.mint(fresh, "default")
        child = lines[0].ok("POST", "auth/token/create", {"type": "batch"}, token=parent).body["auth"]
        batch = child["client_token"]
        use = [
            lambda line=line, batch=batch: [
                line.call("GET", "auth/token/lookup-self", token=batch).status for _ in range(5)
            ]
            for line in lines[1:]
        ]
        answers = together([lambda parent=parent: [revoked(lines[0], parent)], *use])
        assert answers[0] == [204]
        for each in answers[1:]:
            assert each == sorted(each), "it came back to life"
        assert {line.call("GET", "auth/token/lookup-self", token=batch).status for line in lines} == {403}


# Whatever is cut short


@pytest.fixture
def own(begin, tmp_path, monkeypatch):
    offer(tmp_path / "site", Path(__file__).parents[1] / "leases" / "broker_target.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return Target(begin(), "target", tmp_path / "target")


def test_a_secret_leased_while_its_token_is_revoked_goes_with_it(own):
    node = own.node
    lines = node.spread()[:6]
    for _ in range(5):
        token = node.mint("root")
        jobs = [
            lambda line=line, token=token: [
                line.call("GET", "target/creds/app", token=token).status for _ in range(4)
            ]
            for line in lines[1:]
        ]
        statuses = together([lambda token=token: [revoked(lines[0], token)], *jobs])
        assert statuses[0] == [204] and {s for each in statuses[1:] for s in each} <= {200, 403}
    assert own.emptied(30)
    eventually(lambda: node.call("LIST", "sys/leases/lookup/target/creds/app").status == 404)


class Told:
    """What a client was told, and so may rely on."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.dead: set[str] = set()
        self.wrapped: set[str] = set()
        self.users: set[str] = set()


def live(line, mount: str, told: Told, seed: int) -> None:
    """Log in, lease, wrap and revoke until the connection is lost."""
    chance = random.Random(seed)
    unsure = ""
    try:
        for _ in range(60):
            reply = login(line, mount)
            if reply.status != 200:
                continue
            token = reply.body["auth"]["client_token"]
            told.alive.add(token)
            what = chance.randrange(3)
            if what == 0:
                told.users.add(line.ok("GET", "target/creds/app?grace=3s").data["username"])
            elif what == 1:
                ttl = [("X-Vault-Wrap-TTL", "300")]
                made = line.ok("POST", "sys/wrapping/wrap", {"a": token}, headers=ttl)
                told.wrapped.add(made.body["wrap_info"]["token"])
            else:
                unsure = token
                line.ok("POST", "auth/token/revoke", {"token": token})
                told.alive.discard(token)
                told.dead.add(token)
                unsure = ""
    except LOST:
        told.alive.discard(unsure)  # revoked or not: nobody was told


@pytest.mark.parametrize("what", ["worker", "server"])
def test_a_kill_in_the_middle_loses_nothing_told_and_revives_nothing_revoked(own, what):
    node, mount = own.node, "m"
    node.ok("POST", f"sys/auth/{mount}", {"type": "approle"})
    role = {"bind_secret_id": False, "secret_id_bound_cidrs": ["127.0.0.1/32"]}
    node.ok("POST", f"auth/{mount}/role/app", role)
    node.ok("POST", f"auth/{mount}/role/app/role-id", {"role_id": mount})
    node.ok("POST", "sys/quotas/lease-count/q", {"path": f"auth/{mount}", "max_leases": 100_000})
    told = [Told() for _ in range(6)]
    lines = node.spread()[:6]

    def kill():
        eventually(lambda: any(one.dead for one in told) and any(one.wrapped | one.users for one in told))
        time.sleep(random.uniform(0, 0.2))
        pid = node.server.pid if what == "server" else random.choice(node.workers())
        os.kill(pid, signal.SIGKILL)

    jobs = [
        lambda line=line, one=one, seed=seed: live(line, mount, one, seed)
        for seed, (line, one) in enumerate(zip(lines, told, strict=True))
    ]
    together([*jobs, kill])
    node.close()
    if what == "server":
        node.server.kill()
        node.restart()
    eventually(node.server.answers)
    check(own, mount, told)


def check(own: Target, mount: str, told: list[Told]) -> None:
    node = own.node
    alive, dead, wrapped, users = (
        set().union(*(getattr(one, name) for one in told)) for name in ("alive", "dead", "wrapped", "users")
    )
    assert alive and dead
    look = [node.call("GET", "auth/token/lookup-self", token=token).status for token in sorted(alive)]
    assert Counter(look) == {200: len(alive)}
    assert {node.call("GET", "auth/token/lookup-self", token=token).status for token in dead} == {403}
    for token in wrapped:
        assert node.ok("POST", "sys/wrapping/unwrap", {"token": token}).data["a"].startswith("hvs.")
    assert users <= own.live()
    leased = lambda: len(node.ok("LIST", "sys/leases/lookup/target/creds/app").data["keys"])  # noqa: E731
    eventually(lambda: not users or len(own.live()) == leased(), 40)
    counted = node.ok("GET", "sys/quotas/lease-count/q").data["counter"]
    stored = node.ok("LIST", f"sys/leases/lookup/auth/{mount}/login").data["keys"]
    assert counted == len(stored) >= len(alive)
