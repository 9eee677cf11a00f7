"""No value of any field of ``userpass`` and ``approle`` is an internal error, and no refusal repeats a value."""

import pytest
from broker_plugins.auth.approle.method import ApproleMethod
from broker_plugins.auth.userpass.hashing import Cost
from broker_plugins.auth.userpass.method import UserpassMethod

from broker.plugin import BrokerError, Connection
from broker.plugin.testing.engine import EngineHarness
from tests.plugins.auth.lockouts import Noted

CANARY = "c4n4ry-of-a-value"
ODD = (
    None,
    True,
    1,
    -1,
    1.5,
    "",
    CANARY,
    [],
    [[]],
    [CANARY],
    [None],
    {},
    {CANARY: CANARY},
    {"a": {"b": CANARY}},
    CANARY * 4096,
    "\u0000",
    1 << 70,
)
POINTED_AT = {
    "token_type",
    "token_bound_cidrs",
    "bound_cidrs",
    "secret_id_bound_cidrs",
    "bound_cidr_list",
} | {
    "cidr_list",
    "secret_id_accessor",
}
"""Settings and references that a refusal may quote, so that the mistake is found; none is secret."""


def rows():
    for method in (UserpassMethod, ApproleMethod):
        for path in method.PATHS:
            for verb, operation in path.operations.items():
                names = [field.name for field in operation.inputs if field.name not in path.parameters]
                if names:
                    yield pytest.param(method, path.template, verb, names, id=f"{path.template}-{verb.value}")


@pytest.mark.parametrize(("method", "template", "verb", "names"), list(rows()))
async def test_no_value_of_a_field_is_an_internal_error_or_an_echo(method, template, verb, names):
    services = {"lockout": Noted(), **({"cost": Cost(8, 1)} if method is UserpassMethod else {})}
    kit = EngineHarness(method, services=services)
    kit.connection = Connection(remote_address="192.0.2.7")
    path = template.replace("{role_name}", "odd").replace("{username}", "odd")
    if method is ApproleMethod:
        await kit.update("role/odd", role_id="odd")
    else:
        await kit.update("users/odd", password="odd")
    for name in names:
        for value in ODD:
            try:
                await kit.call(verb, path, {name: value})
            except BrokerError as refusal:
                told = str(refusal) + str(refusal.data or "")
                assert CANARY not in told or name in POINTED_AT, (name, told)
                assert len(told) < 200_000
