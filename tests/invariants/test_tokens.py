"""Invariant: a token does what it was made for, as often and as long as it was made for, from where it may, and no more."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.invariants.node import Line, Node, eventually, together

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def batch(node: Node, **more: object) -> str:
    return node.mint("default", type="batch", **more)


def known(node: Line, token: str, namespace: str = "") -> int:
    return node.call("GET", "auth/token/lookup-self", token=token, namespace=namespace).status


def test_of_two_hundred_uses_at_once_as_many_succeed_as_the_token_has(node):
    lines = node.spread()[:20]
    for uses in (1, 3, 17):
        token = node.mint("default", num_uses=uses)

        def use(line: Line, token: str = token) -> list[int]:
            return [known(line, token) for _ in range(10)]

        found = Counter(
            status for part in together([lambda line=line: use(line) for line in lines]) for status in part
        )
        assert found == {200: uses, 403: 200 - uses}


def test_no_child_outlives_a_parent_that_is_revoked_while_children_are_made(node, fresh):
    node.policy(fresh, 'path "auth/token/create*" { capabilities = ["update"] }')
    lines = node.spread()[:9]
    for _ in range(10):
        parent = node.mint(fresh, "default")

        def make(line: Line, parent: str = parent) -> list[str]:
            made = []
            for kind in ("service", "batch", "service", "batch"):
                reply = line.call("POST", "auth/token/create", {"type": kind}, token=parent)
                made += [reply.body["auth"]["client_token"]] if reply.status == 200 else []
            return made

        jobs = [lambda line=line: make(line) for line in lines[1:]]
        made = together(
            [
                *jobs,
                lambda p=parent, line=lines[0]: line.call("POST", "auth/token/revoke", {"token": p}) and [],
            ]
        )
        for line in lines:
            assert {known(line, token) for part in made for token in part} <= {403}


def test_a_batch_token_is_good_on_every_worker_and_leaves_nothing_behind(node):
    before = set(node.ok("LIST", "auth/token/accessors").data["keys"])
    token = batch(node, ttl="1h")
    assert token.startswith("hvb.")
    for line in node.spread():
        assert known(line, token) == 200
    assert (
        set(node.ok("LIST", "auth/token/accessors").data["keys"]) <= before
    )  # others may have ended meanwhile
    assert token not in node.audit_log.read_text()


def test_a_batch_token_with_any_character_changed_is_none(node):
    token = batch(node)
    for place in range(4, len(token)):
        other = BASE64URL[(BASE64URL.index(token[place]) + 1) % 64]
        assert known(node, token[:place] + other + token[place + 1 :]) == 403, place
    for bent in (
        token[:-1],
        token + "A",
        token + "=",
        token + ".x",
        token + "\u00e9",
        "hvb.",
        "hvb.AAAA",
        token.upper(),
    ):
        assert known(node, bent.encode().decode("latin-1")) == 403
    assert known(node, token) == 200


def test_a_batch_token_of_one_namespace_is_none_in_another(node, fresh):
    for name in (fresh + "a", fresh + "b"):
        node.ok("POST", f"sys/namespaces/{name}")
    mine = node.mint("default", type="batch", namespace=fresh + "a")
    theirs = node.mint("default", type="batch", namespace=fresh + "b")
    assert known(node, mine, fresh + "a") == 200
    assert known(node, mine, fresh + "b") == known(node, mine) == 403
    # The sealed part of one behind the name of the other, and of none.
    moved = mine.rpartition(".")[0] + "." + theirs.rpartition(".")[2]
    assert known(node, moved, fresh + "b") == 403
    assert known(node, mine.rpartition(".")[0]) == 403


def test_a_batch_token_outlives_rotations_and_is_no_use_while_sealed(begin):
    node = begin(workers=2)
    token = batch(node)
    for _ in range(3):
        node.ok("POST", "sys/rotate")
        for line in node.spread(2):
            assert known(line, token) == 200
    after = batch(node)
    node.ok("PUT", "sys/seal")
    eventually(lambda: known(node, token) == 503)
    node.unseal()
    assert known(node, token) == known(node, after) == 200


def test_a_batch_token_of_another_cluster_is_none(node, begin):
    other = begin(workers=1)
    assert known(node, batch(other)) == 403
    assert known(other, batch(node)) == 403


def test_a_batch_token_ends_when_it_says(node):
    token = batch(node, ttl="1s")
    eventually(lambda: {known(line, token) for line in node.spread()} == {403})


def test_a_token_bound_to_networks_is_judged_on_every_use_and_root_is_not(node, fresh):
    for networks, status in (
        (["127.0.0.1"], 200),
        (["127.0.0.0/8", "10.0.0.0/8"], 200),
        (["10.0.0.0/8"], 403),
        (["::1"], 403),
    ):
        node.ok(
            "POST",
            f"auth/token/roles/{fresh}",
            {"token_bound_cidrs": networks, "allowed_policies": "default"},
        )
        for kind in ("service", "batch"):
            made = node.ok("POST", f"auth/token/create/{fresh}", {"type": kind}).body["auth"]["client_token"]
            assert [known(line, made) for line in node.spread()[:6] for _ in range(2)] == [status] * 12
            told = node.ok("POST", "auth/token/lookup", {"token": made}).data["bound_cidrs"]
            assert told == networks
    node.ok("POST", f"auth/token/roles/{fresh}root", {"token_bound_cidrs": ["10.0.0.0/8"]})
    root = node.ok("POST", f"auth/token/create/{fresh}root", {"policies": ["root"]}).body["auth"][
        "client_token"
    ]
    assert known(node, root) == 200


def test_a_refused_address_costs_a_limited_token_nothing(node, fresh):
    terms = {"token_bound_cidrs": ["10.0.0.0/8"], "token_num_uses": 2, "allowed_policies": "default"}
    node.ok("POST", f"auth/token/roles/{fresh}", terms)
    made = node.ok("POST", f"auth/token/create/{fresh}", {}).body["auth"]["client_token"]
    assert [known(node, made) for _ in range(5)] == [403] * 5
    assert node.ok("POST", "auth/token/lookup", {"token": made}).data["num_uses"] == 2


def test_a_child_is_bound_as_its_parent_is(node, fresh):
    node.policy(fresh, 'path "auth/token/create" { capabilities = ["update"] }')
    node.ok(
        "POST",
        f"auth/token/roles/{fresh}",
        {"token_strictly_bind_ip": True, "allowed_policies": [fresh, "default"]},
    )
    parent = node.ok("POST", f"auth/token/create/{fresh}", {}).body["auth"]["client_token"]
    child = node.ok("POST", "auth/token/create", {}, token=parent).body["auth"]["client_token"]
    for token in (parent, child):
        assert node.ok("GET", "auth/token/lookup-self", token=token).data["bound_cidrs"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "name",
    [
        "ROOT",
        " root",
        "root\n",
        "root\u00a0",
        "root\u200b",
        "root\u0000",
        "\uff52oot",
        "default,root",
        "root/",
    ],
)
@pytest.mark.parametrize("field", ["allowed_policies", "allowed_policies_glob"])
def test_no_role_admits_root_by_spelling(node, fresh, name, field):
    written = node.call("POST", f"auth/token/roles/{fresh}", {field: [name]})
    if field == "allowed_policies":
        assert written.status == 400, written
    node.policy(fresh, f'path "auth/token/create/{fresh}" {{ capabilities = ["update", "sudo"] }}')
    maker = node.mint(fresh)
    for asked in (["root"], [name], ["default", name], name):
        reply = node.call("POST", f"auth/token/create/{fresh}", {"policies": asked}, token=maker)
        assert reply.status in (400, 403), reply


def test_renewal_at_the_end_never_makes_a_token_endless(node, fresh):
    node.ok(
        "POST", f"auth/token/roles/{fresh}", {"token_explicit_max_ttl": "2s", "allowed_policies": "default"}
    )
    token = node.ok("POST", f"auth/token/create/{fresh}", {"ttl": "2s"}).body["auth"]["client_token"]
    left = []

    def renewed() -> bool:
        for increment in (0, "1s", "9999999s"):
            reply = node.call("POST", "auth/token/renew-self", {"increment": increment}, token=token)
            if reply.status == 200:
                left.append(reply.body["auth"]["lease_duration"])
        return known(node, token) == 403

    eventually(renewed)
    assert left
    assert set(left) <= {1, 2}
    assert node.call("POST", "auth/token/renew-self", {"increment": -1}, token=token).status in (400, 403)


def test_answers_say_when_a_token_ends_and_what_made_that_earlier(node, fresh):
    node.policy(fresh, 'path "auth/token/create*" { capabilities = ["update"] }')
    parent = node.mint(fresh, "default", ttl="1h")
    asked = {"plain": {"ttl": "30m"}, "parent": {"ttl": "5h"}, "system": {"ttl": "90000h", "no_parent": True}}
    ends = {}
    for name, wanted in asked.items():
        token = node.token if name == "system" else parent
        auth = node.ok("POST", "auth/token/create", {"policies": ["default"], **wanted}, token=token).body[
            "auth"
        ]
        data = node.ok("GET", "auth/token/lookup-self", token=auth["client_token"]).data
        ends[name] = (auth["capped_by"], data["capped_by"])
        assert re.match(r"\d{4}-\d\d-\d\dT", auth["expires_at"])
        assert re.match(r"\d{4}-\d\d-\d\dT", data["expires_at"])
    assert ends == {"plain": ("", ""), "parent": ("parent", "parent"), "system": ("system", "system")}
    node.ok("POST", f"auth/token/roles/{fresh}", {"token_explicit_max_ttl": "10m"})
    auth = node.ok(
        "POST", f"auth/token/create/{fresh}", {"policies": [fresh], "ttl": "1h"}, token=parent
    ).body["auth"]
    assert (auth["lease_duration"], auth["capped_by"]) == (600, "role")
    root = node.ok("GET", "auth/token/lookup-self").data
    assert (root["expires_at"], root["capped_by"]) == (None, "")


def test_a_renewal_asks_the_method_that_made_the_token(node, fresh):
    node.ok("POST", f"sys/auth/{fresh}", {"type": "userpass"})
    secret = {"password": "a-long-password"}

    def log_in(name: str) -> str:
        node.ok(
            "POST", f"auth/{fresh}/users/{name}", {**secret, "token_policies": ["default"], "token_ttl": "1h"}
        )
        return node.ok("POST", f"auth/{fresh}/login/{name}", secret, token="").body["auth"]["client_token"]

    def renewed(token: str) -> int:
        return node.call("POST", "auth/token/renew-self", {}, token=token).status

    kept, gone, changed = (log_in(name) for name in ("kept", "gone", "changed"))
    assert [renewed(token) for token in (kept, gone, changed)] == [200] * 3
    node.ok("DELETE", f"auth/{fresh}/users/gone")
    node.ok("POST", f"auth/{fresh}/users/changed", {"token_policies": ["other"]})
    assert [renewed(token) for token in (kept, gone, changed)] == [200, 403, 400]
    # What was refused ends when it said it would, and not before.
    assert [known(node, token) for token in (kept, gone, changed)] == [200] * 3
    node.ok("POST", f"auth/{fresh}/users/kept", {"token_period": "10m"})
    answer = node.ok("POST", "auth/token/renew-self", {}, token=kept).body["auth"]
    assert answer["lease_duration"] == 600
    node.ok("DELETE", f"sys/auth/{fresh}")
    eventually(lambda: {known(node, token) for token in (kept, gone, changed)} == {403})


def test_a_wrapped_login_is_handed_over_once_and_says_by_whom(node, fresh):
    node.ok("POST", f"sys/auth/{fresh}", {"type": "userpass"})
    node.ok("POST", f"auth/{fresh}/users/ann", {"password": "a-long-password", "token_policies": ["default"]})
    reply = node.ok(
        "POST",
        f"auth/{fresh}/login/ann",
        {"password": "a-long-password"},
        token="",
        headers=(("X-Vault-Wrap-TTL", "1m"),),
    )
    info = reply.body["wrap_info"]
    assert (reply.body["auth"], info["creation_path"]) == (None, f"auth/{fresh}/login/ann")
    auth = node.ok("PUT", "sys/wrapping/unwrap", token=info["token"]).body["auth"]
    assert auth["accessor"] == info["wrapped_accessor"]
    assert auth["policies"] == ["default"]
    assert known(node, auth["client_token"]) == 200
