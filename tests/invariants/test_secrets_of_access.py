"""Invariant: what people and machines log in with stands in clear nowhere: not in a log, an audit record, an error, a file."""

from __future__ import annotations

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives import serialization

from tests.fixtures.servers import free_port
from tests.invariants.node import LOST, Node
from tests.invariants.test_secrecy import canary, findings, leaks
from tests.plugins.auth.cert.authority import make

METHODS = ("userpass", "approle", "jwt", "oidc", "ldap", "kubernetes", "apikey", "cert")


class Story:
    """A node, what was planted in it, and everything it answered to those who were not to have it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.planted: dict[str, str] = {}
        self.errors: list[tuple[str, bytes]] = []
        self.reads: list[tuple[str, bytes]] = []

    def value(self, name: str) -> str:
        return self.planted.setdefault(name, canary(re.sub(r"\W", "", name)))

    def refused(self, method: str, path: str, body: object = None, **more) -> None:
        """Send what fails, whatever it fails of, and keep the answer."""
        try:
            reply = self.node.call(method, path, body, **more)
        except LOST:
            return
        assert 400 <= reply.status < 600 and reply.status != 500, (path, reply)
        self.errors.append((path, reply.raw))

    def read(self, path: str) -> None:
        self.reads.append((path, self.node.ok("GET", path).raw))


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    node = Node.begin(tmp_path_factory.mktemp("access"), "broker", log_level="trace", workers=2)
    try:
        told = Story(node)
        for method in METHODS:
            node.ok("POST", f"sys/auth/{method}", {"type": method})
        configure(told)
        log_in(told)
        fail(told)
        second_proof(told)
        wrapped(told)
        yield told
    finally:
        node.end()


def configure(story: Story) -> None:
    """Give every method its secrets, and read back what it shows of them."""
    node, value = story.node, story.value
    key = make("canary", kind="rsa2048")
    pem = key.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    story.planted["client key"] = pem.splitlines()[5]
    nowhere = f"127.0.0.1:{free_port()}"
    node.ok("POST", "auth/userpass/users/ann", {"password": value("password")})
    node.ok("POST", "auth/userpass/users/ann/password", {"password": value("second password")})
    node.ok("POST", "auth/approle/role/app", {})
    node.ok("POST", "auth/approle/role/app/custom-secret-id", {"secret_id": value("custom secret id")})
    ldap = {
        "url": f"ldap://{nowhere}",
        "binddn": "cn=admin",
        "bindpass": value("bind password"),
        "userdn": "dc=example",
        "client_tls_cert": key.pem,
        "client_tls_key": pem,
    }
    node.ok("POST", "auth/ldap/config", ldap)
    cluster = {
        "kubernetes_host": f"https://{nowhere}",
        "kubernetes_ca_cert": make("ca", ca=True).pem,
        "token_reviewer_jwt": value("reviewer"),
    }
    node.ok("POST", "auth/kubernetes/config", cluster)
    anyone = {"bound_service_account_names": ["*"], "bound_service_account_namespaces": ["*"]}
    node.ok("POST", "auth/kubernetes/role/app", anyone)
    public = (
        key.key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    node.ok("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [public]})
    node.ok("POST", "auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["a"]})
    provider = {
        "oidc_discovery_url": f"http://{nowhere}",
        "oidc_client_id": "us",
        "oidc_client_secret": value("client secret"),
    }
    story.refused("POST", "auth/oidc/config", provider)
    for path in ("auth/ldap/config", "auth/kubernetes/config", "auth/jwt/config", "auth/approle/role/app"):
        story.read(path)
    story.read("auth/userpass/users/ann")
    wrong = {"client_tls_key": value("broken key"), "client_tls_cert": key.pem}
    story.refused("POST", "auth/ldap/config", wrong)
    story.refused("POST", "auth/ldap/config", {"bindpass": [value("typed bind password")]})
    story.refused("POST", "auth/userpass/users/bob", {"password_hash": value("password hash")})
    story.refused("POST", "auth/kubernetes/config", {"token_reviewer_jwt": {"a": value("typed reviewer")}})
    story.refused("POST", "auth/jwt/config", {"oidc_client_secret": value("lone secret")})


def log_in(story: Story) -> None:
    """Log in where that works, and plant what the server made."""
    node = story.node
    made = node.ok("POST", "auth/approle/role/app/secret-id", {}).data
    role_id = node.ok("GET", "auth/approle/role/app/role-id").data["role_id"]
    story.planted["secret id"] = made["secret_id"]
    story.planted["api key"] = node.ok("POST", "auth/apikey/keys", {"name": "legacy"}).data["api_key"]
    for name, path, body in (
        ("userpass token", "auth/userpass/login/ann", {"password": story.planted["second password"]}),
        ("approle token", "auth/approle/login", {"role_id": role_id, "secret_id": made["secret_id"]}),
        (
            "custom token",
            "auth/approle/login",
            {"role_id": role_id, "secret_id": story.planted["custom secret id"]},
        ),
        ("apikey token", "auth/apikey/login", {"api_key": story.planted["api key"]}),
    ):
        story.planted[name] = node.ok("POST", path, body, token="").body["auth"]["client_token"]
    batch = node.ok("POST", "auth/token/create", {"type": "batch", "policies": ["default"]})
    story.planted["batch token"] = batch.body["auth"]["client_token"]
    node.ok("GET", "auth/token/lookup-self", token=story.planted["batch token"])


def fail(story: Story) -> None:
    """Show every method what it must refuse, in the right place and in wrong ones."""
    value = story.value
    encoded = base64.urlsafe_b64encode(json.dumps({"alg": "RS256"}).encode()).rstrip(b"=").decode()
    forged = f"{encoded}.{encoded}.{value('signature')}"
    tries = {
        "auth/userpass/login/ann": "password",
        "auth/userpass/login/nobody": "password",
        "auth/ldap/login/ann": "password",
        "auth/approle/login": "secret_id",
        "auth/apikey/login": "api_key",
        "auth/jwt/login": "jwt",
        "auth/kubernetes/login": "jwt",
        "auth/oidc/oidc/poll": "client_nonce",
        "auth/oidc/oidc/callback": "code",
        "auth/nowhere/login": "password",
        "sys/mfa/validate": "mfa_request_id",
        "sys/wrapping/unwrap": "token",
        "sys/wrapping/lookup": "token",
        "identity/oidc/introspect": "token",
    }
    for path, field in tries.items():
        known = {"role_id": "x"} if "approle" in path else {"role": "app"} if field == "jwt" else {}
        token = None if path.startswith("identity") else ""
        for given in (value(f"{path} text"), [value(f"{path} list")], {"a": value(f"{path} inside")}, forged):
            if path.startswith("identity") and isinstance(given, str):
                continue  # an answer, not a refusal
            story.refused("POST", path, {**known, field: given}, token=token)
        story.refused(
            "POST", path, raw=b'{"%s": "%s' % (field.encode(), value(f"{path} torn").encode()), token=""
        )
        story.refused("GET", f"{path}?{field}={value(f'{path} query')}", token="")
        story.refused("POST", path, {**known, "odd": value(f"{path} unknown")}, token="")
    proof = [("X-Vault-MFA", f"method:{value('proof in a header')}")]
    story.refused(
        "POST", "auth/userpass/login/ann", {"password": value("with proof")}, token="", headers=proof
    )
    story.refused("POST", "sys/config/auditing/request-headers/X-Vault-MFA", {"hmac": False})
    story.refused("POST", "auth/approle/role/app/secret-id/lookup", {"secret_id": [value("looked up")]})
    story.refused("POST", "sys/leases/lookup", {"lease_id": [value("lease")]})


def second_proof(story: Story) -> None:
    """A login that owes a code: the key, the codes and the request id are secrets all."""
    node, value = story.node, story.value
    method = node.ok("POST", "identity/mfa/method/totp", {"issuer": "us", "period": 30}).data["method_id"]
    accessor = node.ok("GET", "sys/auth/userpass").data["accessor"]
    rule = {"mfa_method_ids": [method], "auth_method_accessors": [accessor]}
    node.ok("POST", "identity/mfa/login-enforcement/all", rule)
    password = {"password": story.planted["second password"]}
    waits = node.ok("POST", "auth/userpass/login/ann", password, token="").body["auth"]
    request_id = story.planted["mfa request"] = waits["mfa_requirement"]["mfa_request_id"]
    entity = node.ok(
        "POST", "identity/lookup/entity", {"alias_name": "ann", "alias_mount_accessor": accessor}
    )
    place = {"method_id": method, "entity_id": entity.data["id"]}
    url = node.ok("POST", "identity/mfa/method/totp/admin-generate", place).data["url"]
    story.planted["totp key"] = re.search(r"secret=([A-Z2-7]+)", url)[1]
    story.read(f"identity/mfa/method/totp/{method}")
    for codes in ([value("code")], value("bare code"), {"a": value("named code")}, [[value("listed code")]]):
        body = {"mfa_request_id": request_id, "mfa_payload": {method: codes}}
        story.refused("POST", "sys/mfa/validate", body, token="")
    proof = [("X-Vault-MFA", f"{method}:{value('wrong proof')}")]
    story.refused("POST", "auth/userpass/login/ann", password, token="", headers=proof)


def wrapped(story: Story) -> None:
    """Wrapping tokens, used once, twice and in wrong places; the keys of identity tokens."""
    node = story.node
    ttl = [("X-Vault-Wrap-TTL", "60")]
    made = node.ok("POST", "sys/wrapping/wrap", {"p": story.value("wrapped")}, headers=ttl).body["wrap_info"]
    token = story.planted["wrapping token"] = made["token"]
    node.ok("POST", "sys/wrapping/lookup", {"token": token}, token="")
    node.ok("POST", "sys/wrapping/unwrap", {"token": token})
    story.refused("POST", "sys/wrapping/unwrap", {"token": token})
    story.refused("GET", "secret/data/a", token=token)
    node.ok("POST", "identity/oidc/key/k", {"algorithm": "ES256"})
    story.read("identity/oidc/key/k")
    assert all(b"PRIVATE" not in raw for _, raw in story.reads)


def test_no_refusal_repeats_what_was_shown(story):
    assert len(story.errors) > 80
    assert {path: found for path, raw in story.errors if (found := findings(raw, story.planted))} == {}


def test_no_setting_that_is_read_back_holds_a_secret(story):
    assert len(story.reads) > 5
    assert {path: found for path, raw in story.reads if (found := findings(raw, story.planted))} == {}


def test_neither_log_nor_audit_nor_store_holds_what_was_logged_in_with(story):
    assert len(story.planted) > 60
    assert story.node.audit_log.stat().st_size > 100_000
    assert leaks(story.node.folder, story.planted) == {}
