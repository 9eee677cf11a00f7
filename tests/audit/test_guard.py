"""A device enabled over the API writes below the audit directory, or nowhere."""

from pathlib import Path

import pytest

from broker.audit import AuditGuard, Auditor, new_entry
from broker.plugin.audit import AuditDeviceType
from broker.plugin.errors import AuditFailed, InvalidRequest
from tests.audit.helpers import an_entry, records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    return tmp_path / "audit"


def over_api(option: str, path: Path | str):
    return new_entry("api", "file", {option: str(path)})


OPTIONS = pytest.mark.parametrize("option", ["file_path", "path"])


@OPTIONS
async def test_without_an_audit_directory_the_api_enables_nothing(file_type, tmp_path, option):
    with pytest.raises(InvalidRequest, match="cannot enable audit device via API; use declarative"):
        await Auditor([file_type]).enable(over_api(option, tmp_path / "a.log"))
    assert list(tmp_path.iterdir()) == []


@OPTIONS
async def test_a_file_below_the_audit_directory_is_allowed(file_type, root, option):
    (root / "team").mkdir()
    auditor = Auditor([file_type], guard=AuditGuard(str(root)))
    await auditor.enable(over_api(option, root / "team" / "a.log"))
    assert records(root / "team" / "a.log")[0]["request"]["path"] == "sys/audit/test"
    await auditor.close()


@OPTIONS
@pytest.mark.parametrize(
    "path",
    [
        "{root}/../a.log",
        "{root}",
        "{root}/",
        "{root}2/a.log",
        "{root}/./a.log",
        "a.log",
        "/etc/a.log",
        "{root}/a\0b",
    ],
)
async def test_every_way_out_of_the_audit_directory_is_refused(file_type, root, option, path):
    Path(f"{root}2").mkdir()
    auditor = Auditor([file_type], guard=AuditGuard(str(root)))
    with pytest.raises(InvalidRequest, match="below the audit_directory"):
        await auditor.enable(over_api(option, path.format(root=root)))
    assert auditor.list() == ()


@pytest.mark.parametrize("special", ["stdout", "discard"])
async def test_special_values_are_refused_over_the_api(file_type, root, special):
    for guard in (AuditGuard(str(root)), AuditGuard(unsafe=True)):
        with pytest.raises(InvalidRequest):
            await Auditor([file_type], guard=guard).enable(over_api("file_path", special))


async def test_an_alias_beside_an_approved_path_is_guarded_too(file_type, root, tmp_path):
    entry = new_entry("api", "file", {"file_path": str(root / "a.log"), "path": str(tmp_path / "evil")})
    with pytest.raises(InvalidRequest, match="below the audit_directory"):
        await Auditor([file_type], guard=AuditGuard(str(root))).enable(entry)


@pytest.mark.parametrize("target", ["folder", "file", "loop"])
async def test_links_out_of_the_audit_directory_are_refused(file_type, root, tmp_path, target):
    outside = tmp_path / "outside"
    outside.mkdir()
    if target == "folder":
        (root / "x").symlink_to(outside)
        path = root / "x" / "a.log"
    elif target == "file":
        path = root / "a.log"
        path.symlink_to(outside / "a.log")
    else:
        path = root / "a.log"
        path.symlink_to(path)
    with pytest.raises(InvalidRequest):
        await Auditor([file_type], guard=AuditGuard(str(root))).enable(over_api("file_path", path))
    assert list(outside.iterdir()) == []


async def test_the_audit_directory_itself_may_be_a_link(file_type, root, tmp_path):
    alias = tmp_path / "alias"
    alias.symlink_to(root)
    auditor = Auditor([file_type], guard=AuditGuard(str(alias)))
    await auditor.enable(over_api("file_path", alias / "a.log"))
    assert len(records(root / "a.log")) == 1
    await auditor.close()


async def test_a_device_that_names_no_file_is_refused_over_the_api(root):
    socket = AuditDeviceType(
        "socket", build=lambda config: None, summary="A network device.", options=("address",)
    )
    entry = new_entry("api", "socket", {"address": "127.0.0.1:1"})
    with pytest.raises(InvalidRequest, match="cannot enable audit device via API"):
        await Auditor([socket], guard=AuditGuard(str(root))).enable(entry)


async def test_the_unsafe_switch_lifts_the_directory_but_not_the_file_rules(file_type, tmp_path):
    auditor = Auditor([file_type], guard=AuditGuard(unsafe=True))
    await auditor.enable(over_api("file_path", tmp_path / "a.log"))
    with pytest.raises(InvalidRequest, match="too wide"):
        await auditor.enable(new_entry("b", "file", {"file_path": str(tmp_path / "b.log"), "mode": "0666"}))
    with pytest.raises(InvalidRequest, match="EINVAL"):
        await auditor.enable(new_entry("c", "file", {"file_path": "/dev/full"}))
    await auditor.close()


async def test_a_device_no_longer_allowed_by_the_configuration_fails_closed(file_type, root):
    entry = over_api("file_path", root / "a.log")
    auditor = Auditor([file_type], guard=AuditGuard())
    await auditor.enable(entry, probe=False)
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    assert not (root / "a.log").exists()


async def test_a_table_entry_altered_to_lead_outside_does_not(file_type, root, tmp_path):
    auditor = Auditor([file_type], guard=AuditGuard(str(root)))
    await auditor.enable(over_api("file_path", tmp_path / "a.log"), probe=False)
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    assert not (tmp_path / "a.log").exists()
