"""Every field takes any JSON value thrown at it, and no error repeats one."""

from contextlib import suppress

import pytest
from broker_plugins.auth.kubernetes import KubernetesMethod

from broker.plugin import BrokerError

from .cluster import Cluster
from .conftest import CA, Kit

METHOD = KubernetesMethod
MARK = "ec~ho"
COMPLETE = {
    "role/{name}": {"bound_service_account_names": "a", "bound_service_account_namespaces": "b"},
    "config": {"kubernetes_host": "http://127.0.0.1:9", "kubernetes_ca_cert": CA},
    "login": {"role": "app", "jwt": Cluster().token()},
}


@pytest.fixture
async def kit():
    made = Kit()
    await made.configure("http://127.0.0.1:9")
    await made.role()
    return made


VALUES = (
    None,
    True,
    1,
    -1,
    1.5,
    10**30,
    "",
    MARK,
    f"{MARK}\n\0\u202e",
    [],
    [[]],
    [MARK, 1],
    [f"{MARK}:x"],
    {},
    {MARK: {MARK: [MARK]}},
    MARK * 5_000,
)
REPEATED = ("token_bound_cidrs", "bound_cidrs", "token_type")
"""Fields of all methods whose errors repeat what was sent, as clients of Vault expect."""

FIELDS = [
    (row.template, verb, field.name)
    for row in METHOD.PATHS
    for verb, operation in row.operations.items()
    for field in operation.inputs
    if field.name not in row.parameters
]


@pytest.mark.parametrize(("template", "verb", "field"), FIELDS)
async def test_every_field_takes_any_value_and_echoes_none(kit, template, verb, field):
    path = template.replace("{name}", "app")
    for value in VALUES:
        said = ""
        with suppress(BrokerError):
            try:
                await kit.call(verb, path, {**COMPLETE.get(template, {}), field: value})
            except BrokerError as refusal:
                said = str(refusal)
                raise
        assert MARK not in said or field in REPEATED, (field, value)
