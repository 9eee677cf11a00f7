"""Every field of every path, given what it is not: a 4xx that names the field and never the value, and no internal error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import serialization

from broker.core.identity.engine import IdentityEngine
from broker.core.plugins import load_catalog
from broker.core.system.engine import SystemEngine
from broker.plugin.context import Mount
from broker.plugin.paths import Operation
from broker.plugin.verbs import Verb
from tests.core.system.conftest import Api
from tests.fixtures.servers import dev_server
from tests.peer.client import Client, Reply
from tests.plugins.auth.cert.authority import authority

CANARY = "hunter2-" + "x" * 64
ODD = [
    None,
    True,
    1,
    -1,
    0.5,
    "",
    CANARY,
    [],
    [[]],
    [None],
    [CANARY],
    [{CANARY: 1}],
    {},
    {CANARY: {CANARY: []}},
    10**30,
    1e300,
    "\u0661",
    "x" * 1_048_577,
    {"a": None},
    "../../x",
    "root\n",
]
METHODS = {
    Verb.READ: "GET",
    Verb.CREATE: "POST",
    Verb.UPDATE: "PUT",
    Verb.PATCH: "PATCH",
    Verb.DELETE: "DELETE",
    Verb.LIST: "LIST",
    Verb.SCAN: "SCAN",
}
# They hold no secret, and an answer that did not say which name or line it means would help nobody.
POINTED_AT = {
    "type",
    "plugin_name",
    "plugin_version",
    "from",
    "to",
    "policy",
    "rules",
    "custom_metadata",
    "method_id",
    "path",
}
# A quota written without them holds for everything, also for the requests that come after it here.
BESIDES = {
    f"sys/quotas/{kind}/{{name}}": {"path": "odd1/", "rate": 1e6, "max_leases": 1_000_000}
    for kind in ("rate-limit", "lease-count")
}
CA = authority()
PUBLIC_KEY = (
    CA.key.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
# Without these, many a path would stop at what is not there.
READY = {
    "auth/userpass/users/odd": {"password": "odd"},
    "auth/approle/role/odd": {},
    "auth/cert/certs/odd": {"certificate": CA.pem},
    "auth/jwt/config": {"jwt_validation_pubkeys": [PUBLIC_KEY]},
    "auth/jwt/role/odd": {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["odd"]},
    "auth/kubernetes/config": {"kubernetes_host": "https://127.0.0.1:1", "kubernetes_ca_cert": CA.pem},
    "auth/kubernetes/role/odd": {
        "bound_service_account_names": ["odd"],
        "bound_service_account_namespaces": ["odd"],
    },
    "identity/entity": {"name": "odd"},
    "identity/group": {"name": "odd"},
    "identity/oidc/key/odd": {"algorithm": "ES256"},
    "identity/oidc/role/odd": {"key": "odd"},
}
# They stop the node or begin what would change how every other test finds it.
LEFT_OUT = {
    "sys/seal",
    "sys/step-down",
    "sys/init",
    "sys/rotate/root",
    "sys/monitor",  # answers as long as anybody listens; its fields have tests with its own
}


def rows() -> Iterator[tuple[str, Verb, Operation]]:
    yield from _operations("sys/", SystemEngine.PATHS)
    yield from _operations("identity/", IdentityEngine.PATHS)
    catalog = load_catalog()
    for table, kinds in (("", catalog.engines), ("auth/", catalog.auth_methods)):
        for kind in kinds:
            mount = Mount(
                path="x/", type=kind.name, uuid="x", accessor="x", options={"version": kind.version}
            )
            prefix = {"kv1": "odd1/", "kv2": "odd2/"}.get(kind.name + kind.version, f"{table}{kind.name}/")
            yield from _operations(prefix, kind.build(mount, **dict.fromkeys(kind.needs)).PATHS)


def _operations(prefix: str, paths) -> Iterator[tuple[str, Verb, Operation]]:
    for row in paths:
        for verb, operation in row.operations.items():
            if prefix + row.template not in LEFT_OUT:
                yield prefix + row.template, verb, operation


ROWS = [pytest.param(*row, id=f"{row[1]}-{row[0]}") for row in rows()]


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Iterator[Api]:
    """A dev server of this module's own: what is asked here begins ceremonies and changes settings."""
    server = dev_server("broker", tmp_path_factory.mktemp("odd"), "odd")
    api = Api(server)
    for version in ("1", "2"):
        api.done("POST", f"sys/mounts/odd{version}", {"type": "kv", "options": {"version": version}})
    for kind in load_catalog().auth_methods:
        if kind.name != "token":
            api.done("POST", f"sys/auth/{kind.name}", {"type": kind.name})
    for path, body in READY.items():
        api.done("POST", path, body)
    yield api
    api.close()
    server.stop()


def _target(template: str, operation: Operation) -> tuple[str, list[str]]:
    """The path with a name in every gap, and the names of the fields that come in the body."""
    names = {field.name for field in operation.inputs}
    for name in list(names):
        for gap in (f"{{{name}}}", f"{{{name}:path}}"):
            if gap in template:
                template = template.replace(gap, "odd")
                names.discard(name)
    return template, sorted(names)


def _ask(client: Client, verb: Verb, path: str, token: str, fields: dict[str, object]) -> Reply:
    headers = {"X-Vault-Token": token}
    if verb not in (Verb.CREATE, Verb.UPDATE, Verb.PATCH):
        query = urlencode({name: str(value) for name, value in fields.items() if value is not None})
        return client.send(METHODS[verb], f"/v1/{path}?{query[:8000]}", headers, None)
    headers["Content-Type"] = "application/merge-patch+json" if verb is Verb.PATCH else "application/json"
    return client.send(METHODS[verb], f"/v1/{path}", headers, json.dumps(fields).encode())


def _waits(template: str, reply: Reply) -> bool:
    """Tell whether all was well but for the directory, which is not there."""
    return template == "auth/ldap/login/{username:path}" and reply.status == 503


@pytest.mark.parametrize(("template", "verb", "operation"), ROWS)
def test_no_value_of_a_field_is_an_internal_error_or_an_echo(
    odd: Api, template: str, verb: Verb, operation: Operation
):
    path, names = _target(template, operation)
    token = odd.ask("POST", "auth/token/create", {}).body["auth"]["client_token"]
    client = Client(odd.server.address)
    besides = {name: value for name, value in BESIDES.get(template, {}).items() if name in names}
    try:
        for name in names:
            for value in ODD:
                reply = _ask(client, verb, path, token, {**besides, name: value})
                assert reply.status < 500 or _waits(template, reply), (path, name, str(value)[:80], reply)
                assert reply.status != 429, "a quota made on the way refuses what it should not"
                if reply.status >= 400 and name not in POINTED_AT:
                    assert CANARY.encode() not in reply.raw, (path, name, reply)
        everything = _ask(client, verb, path, token, dict.fromkeys(names, CANARY))
        assert everything.status < 500 or _waits(template, everything), (path, everything)
        alive = odd.ask("GET", "auth/token/lookup-self", token=token).status == 200
        assert alive or "revoke" in path, "the token died on the way, so nothing was tried"
    finally:
        client.close()
        if besides:
            odd.done("DELETE", path)
