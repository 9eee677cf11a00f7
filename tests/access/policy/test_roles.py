"""The six ready-to-load roles say what they promise, and the linter has nothing to add."""

from pathlib import Path

import pytest

from broker.access.policy import ACL, Identity, expand, lint, parse_policy
from broker.plugin.verbs import Verb

FOLDER = Path(__file__).parents[3] / "policies"
ROLES = ("global-admin", "tenant-admin", "operator", "developer", "viewer", "service-account")
NOW = 1_800_000_000.0
EVERYTHING = [verb for verb in Verb if verb is not Verb.HELP]

#: The peer's root-protected paths that these roles touch.
PROTECTED = ("sys/audit", "sys/rotate*", "sys/seal", "sys/step-down", "sys/remount", "sys/raw*", "sys/auth/*")


def role(name: str, caller: Identity | None = None) -> ACL:
    policy = parse_policy(name, (FOLDER / f"{name}.hcl").read_text())
    return ACL([expand(policy, caller or Identity())])


def verbs(name: str, path: str, caller: Identity | None = None) -> set[str]:
    acl = role(name, caller)
    return {verb.value for verb in EVERYTHING if acl.check(verb, path, now=NOW).allowed}


@pytest.mark.parametrize("name", ROLES)
def test_a_role_loads_and_lints_clean(name):
    policy = parse_policy(name, (FOLDER / f"{name}.hcl").read_text())
    assert policy.rules
    assert lint(policy, now=NOW, sudo_paths=PROTECTED) == []


def test_only_the_global_admin_may_do_everything_but_read_raw_storage():
    assert len(verbs("global-admin", "sys/audit/file")) == len(EVERYTHING)
    assert role("global-admin").check(Verb.UPDATE, "sys/seal", now=NOW).sudo
    assert verbs("global-admin", "sys/raw/core/keyring") == set()


@pytest.mark.parametrize("path", ["sys/seal", "sys/audit/file", "sys/raw/x", "sys/rotate", "sys/rekey/init"])
def test_a_tenant_admin_does_not_touch_the_installation(path):
    assert verbs("tenant-admin", path) == set()
    assert len(verbs("tenant-admin", "secret/data/x")) == len(EVERYTHING)


@pytest.mark.parametrize("path", ["secret/data/x", "secret/metadata/x", "config/app", "database/creds/app"])
def test_an_operator_sees_nothing_that_is_stored(path):
    assert verbs("operator", path) == set()
    assert "update" in verbs("operator", "sys/seal")


def test_a_developer_writes_secrets_but_destroys_nothing_for_good():
    assert {"create", "read", "update", "delete"} <= verbs("developer", "secret/data/app/db")
    assert verbs("developer", "secret/destroy/app/db") == set()
    assert "delete" not in verbs("developer", "secret/metadata/app/db")
    assert verbs("developer", "sys/mounts/new") == set()


def test_a_viewer_lists_and_never_reads_a_secret():
    assert verbs("viewer", "secret/data/app") == set()
    assert verbs("viewer", "secret/metadata/app/") == {"read", "list", "scan"}
    assert not verbs("viewer", "config/app") & {"create", "update", "patch", "delete"}


def test_a_service_reads_only_below_its_own_name():
    caller = Identity(id="e1", name="billing")
    assert verbs("service-account", "secret/data/services/billing/db", caller) == {"read"}
    assert verbs("service-account", "secret/data/services/shop/db", caller) == set()
    assert verbs("service-account", "secret/data/services/billing/db", Identity(name="*")) == set()
    assert verbs("service-account", "secret/data/services//db") == set()
