"""No value of any field of an auth method is an internal error, and no refusal repeats a value."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from broker_plugins.auth.apikey import ApiKeyMethod
from broker_plugins.auth.approle.method import ApproleMethod
from broker_plugins.auth.cert import CertMethod
from broker_plugins.auth.jwt import JwtMethod
from broker_plugins.auth.kubernetes import KubernetesMethod
from broker_plugins.auth.ldap import LdapMethod
from broker_plugins.auth.userpass.hashing import Cost
from broker_plugins.auth.userpass.method import UserpassMethod

from broker.core.anchoring import OnceService
from broker.plugin import AuthMethod, BrokerError, Connection
from broker.plugin.testing.engine import EngineHarness
from tests.fixtures.issuer import RSA, pem, signed

from .cert.authority import authority
from .kubernetes.cluster import REVIEWER, Cluster
from .lockouts import Noted

CANARY = "c4n4ry~of-a-value"
"""Not a name that any method takes: a refusal may repeat the name of what was looked for."""
ODD = (
    None,
    True,
    1,
    -1,
    1.5,
    1 << 70,
    "",
    "\u0000",
    CANARY,
    f"{CANARY}\n\0\u202e",
    CANARY * 4096,
    [],
    [[]],
    [None],
    [CANARY],
    [CANARY, 1],
    [f"{CANARY}:x"],
    {},
    {CANARY: CANARY},
    {"a": {"b": CANARY}},
    {CANARY: {CANARY: [CANARY]}},
)
POINTED_AT = {
    "token_type",
    "token_bound_cidrs",
    "bound_cidrs",
    "secret_id_bound_cidrs",
    "bound_cidr_list",
    "cidr_list",
    "secret_id_accessor",
    "jwt_supported_algs",
    "bound_claims",
}
"""Settings and references that a refusal may quote, so that the mistake is found; none is secret."""


@dataclass(frozen=True)
class Subject:
    """A method with something in store, and what a path needs besides the odd value so that this is looked at."""

    method: type[AuthMethod]
    stored: dict[str, dict[str, Any]]
    complete: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: Callable[[], dict[str, Any]] = dict

    async def kit(self) -> EngineHarness:
        kit = EngineHarness(self.method, services=self.services())
        kit.connection = Connection(remote_address="192.0.2.7")
        for path, body in self.stored.items():
            await kit.update(path, **body)
        return kit


CLUSTER = {"kubernetes_host": "http://127.0.0.1:9", "kubernetes_ca_cert": authority("Cluster").pem}
CLAIMED = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app"}
KEYS = {"jwt_validation_pubkeys": pem(RSA)}
BOUND = {"bound_service_account_names": "a", "bound_service_account_namespaces": "b"}
SUBJECTS = (
    Subject(
        UserpassMethod,
        stored={"users/odd": {"password": "odd"}},
        services=lambda: {"lockout": Noted(), "cost": Cost(8, 1)},
    ),
    Subject(
        ApproleMethod,
        stored={"role/odd": {"role_id": "odd"}},
        services=lambda: {"lockout": Noted(), "once": OnceService(0)},
    ),
    Subject(CertMethod, stored={}, complete={"certs/{name}": {"certificate": authority().pem}}),
    Subject(
        KubernetesMethod,
        stored={"config": {**CLUSTER, "token_reviewer_jwt": REVIEWER}, "role/odd": BOUND},
        complete={
            "config": CLUSTER,
            "role/{name}": BOUND,
            "login": {"role": "odd", "jwt": Cluster().token()},
        },
    ),
    Subject(
        JwtMethod,
        stored={"config": KEYS, "role/odd": CLAIMED},
        complete={
            "config": KEYS,
            "role/{name}": CLAIMED,
            "login": {"role": "odd", "jwt": signed({"sub": "a"})},
        },
    ),
    Subject(
        LdapMethod,
        stored={"config": {"url": "ldap://127.0.0.1:9"}, "users/odd": {}, "groups/odd": {}},
        services=lambda: {"lockout": Noted()},
    ),
    Subject(ApiKeyMethod, stored={}, complete={"keys": {"name": "odd"}}, services=lambda: {"logins": None}),
)


def rows():
    for subject in SUBJECTS:
        for path in subject.method.PATHS:
            for verb, operation in path.operations.items():
                names = [each.name for each in operation.inputs if each.name not in path.parameters]
                if names:
                    label = f"{subject.method.__name__}-{path.template}-{verb.value}"
                    yield pytest.param(subject, path, verb, names, id=label)


@pytest.mark.parametrize(("subject", "path", "verb", "names"), list(rows()))
async def test_no_value_of_a_field_is_an_internal_error_or_an_echo(subject, path, verb, names):
    kit = await subject.kit()
    place = path.template
    for parameter in path.parameters:
        place = place.replace(f"{{{parameter}}}", "odd")
    for name in names:
        for value in ODD:
            try:
                await kit.call(verb, place, {**subject.complete.get(path.template, {}), name: value})
            except BrokerError as refusal:
                told = str(refusal) + str(refusal.data or "")
                assert CANARY not in told or name in POINTED_AT, (name, told)
                assert len(told) < 200_000
