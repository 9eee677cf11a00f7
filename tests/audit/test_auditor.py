"""A request goes on only if a device has its record, and never waits for one that hangs."""

import asyncio
import logging

import pytest

from broker.audit import Auditor, ResponseFacts, new_entry
from broker.audit.auditor import AuditGuard
from broker.audit.verify import verify_file
from broker.plugin.audit import AuditDevice, AuditDeviceType, DeviceError
from broker.plugin.errors import AuditFailed, InvalidRequest
from tests.audit.helpers import ACCESSOR, TOKEN, an_entry, device, records, settle


class Network(AuditDevice):
    """A device that answers later: at once, with an error, or never."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.answer: asyncio.Event | None = None
        self.broken = False

    async def write(self, line: bytes) -> None:
        if self.answer is not None:
            await self.answer.wait()
        if self.broken:
            raise DeviceError("ECONNRESET: connection reset")
        self.lines.append(line)


def network(name: str = "net") -> tuple[AuditDeviceType, Network]:
    made = Network()
    return AuditDeviceType(name, build=lambda config: made, summary="A test's network."), made


def entry_of(kind: str):
    return new_entry(kind, kind, {}, from_config=True)


async def test_with_no_device_enabled_every_record_is_accepted():
    auditor = Auditor([])
    assert auditor.request(an_entry()) is None
    assert auditor.response(an_entry(), ResponseFacts()) is None


async def test_a_local_device_accepts_without_suspending(auditor, log):
    await auditor.enable(device(log))
    entry = an_entry(data={"data": {"pw": "hunter2"}})
    assert auditor.request(entry) is None
    assert auditor.response(entry, ResponseFacts({"data": {"pw": "hunter2"}})) is None
    assert [line["type"] for line in records(log)] == ["request", "request", "response"]
    text = log.read_text()
    assert TOKEN not in text
    assert ACCESSOR not in text
    assert "hunter2" not in text


async def test_the_only_device_failing_refuses_the_request(auditor, log):
    await auditor.enable(device(log))
    log.unlink()
    log.parent.joinpath("audit.log").mkdir()
    auditor.reopen()
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    assert not auditor.health()[0].healthy


async def test_requests_are_served_again_once_the_file_is_back(auditor, log):
    await auditor.enable(device(log))
    log.unlink()
    log.mkdir()
    auditor.reopen()
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    log.rmdir()
    assert auditor.request(an_entry()) is None
    assert auditor.health()[0].healthy
    assert verify_file(log).intact


async def test_one_dead_device_does_not_stop_the_others_and_shows_red(auditor, tmp_path, caplog):
    dead = tmp_path / "dead.log"
    await auditor.enable(device(dead, "dead"))
    await auditor.enable(device(tmp_path / "live.log", "live"))
    dead.unlink()
    dead.mkdir()
    auditor.reopen()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert auditor.request(an_entry()) is None
    assert [state.healthy for state in auditor.health()] == [False, True]
    assert auditor.health()[0].failures >= 5
    assert all(TOKEN not in str(record.__dict__) for record in caplog.records)


async def test_trouble_is_logged_once_by_a_constant_name(auditor, log, caplog):
    await auditor.enable(device(log))
    log.unlink()
    log.mkdir()
    with caplog.at_level(logging.ERROR):
        auditor.reopen()
        for _ in range(5):
            with pytest.raises(AuditFailed):
                auditor.request(an_entry())
    names = [record.message for record in caplog.records]
    assert names.count("audit_device_failed") == 1
    assert "EISDIR" in auditor.health()[0].last_error


async def test_a_black_hole_alone_is_cut_off_by_the_deadline():
    kind, hole = network()
    auditor = Auditor([kind], deadline_seconds=0.05)
    await auditor.enable(entry_of("net"))
    hole.answer = asyncio.Event()
    with pytest.raises(AuditFailed):
        await settle(auditor.request(an_entry()))
    assert auditor.health()[0].last_error == "no answer within the deadline"
    await auditor.close()


async def test_a_black_hole_beside_a_file_is_not_waited_for(file_type, log):
    kind, hole = network()
    auditor = Auditor([file_type, kind], deadline_seconds=0.05)
    await auditor.enable(entry_of("net"))
    await auditor.enable(device(log))
    hole.answer = asyncio.Event()
    assert auditor.request(an_entry()) is None
    await auditor.close()
    assert not hole.lines[1:]


async def test_a_black_hole_beside_a_living_network_device_is_not_waited_for():
    (hole_kind, hole), (live_kind, live) = network("hole"), network("live")
    auditor = Auditor([hole_kind, live_kind], deadline_seconds=30)
    await auditor.enable(entry_of("hole"))
    await auditor.enable(entry_of("live"))
    hole.answer = asyncio.Event()
    async with asyncio.timeout(10):
        await settle(auditor.request(an_entry()))
    assert len(live.lines) == 2
    hole.answer.set()
    await auditor.close()


async def test_a_black_hole_owes_only_so_many_answers(file_type, log, monkeypatch):
    monkeypatch.setattr("broker.audit.running.MOST_WAITING", 3)
    kind, hole = network()
    auditor = Auditor([file_type, kind], deadline_seconds=30)
    await auditor.enable(entry_of("net"))
    await auditor.enable(device(log))
    hole.answer = asyncio.Event()
    for _ in range(10):
        assert auditor.request(an_entry()) is None
        await asyncio.sleep(0)
    assert "too many" in auditor.health()[0].last_error
    assert auditor.health()[0].failures == 7
    hole.answer.set()
    await auditor.close()


async def test_all_network_devices_failing_refuses_the_request():
    kind, net = network()
    auditor = Auditor([kind])
    await auditor.enable(entry_of("net"))
    net.broken = True
    with pytest.raises(AuditFailed):
        await settle(auditor.response(an_entry(), ResponseFacts()))
    await auditor.close()


async def test_lines_lost_by_a_network_device_do_not_leave_a_gap_in_later_chains(tmp_path):
    kind, net = network()
    auditor = Auditor([kind])
    await auditor.enable(entry_of("net"))
    net.broken = True
    with pytest.raises(AuditFailed):
        await settle(auditor.request(an_entry()))
    net.broken = False
    await settle(auditor.request(an_entry()))
    await auditor.close()
    received = tmp_path / "received.log"
    received.write_bytes(b"".join(net.lines))
    report = verify_file(received)
    assert report.intact
    assert report.writers == 2


async def test_a_device_with_a_bug_counts_as_failed(file_type, log):
    class Buggy(AuditDevice):
        def write(self, line: bytes) -> None:
            if b"sys/audit/test" not in line:
                raise ZeroDivisionError("with the line in its text")

    kind = AuditDeviceType("buggy", build=lambda config: Buggy(), summary="Has a bug.")
    auditor = Auditor([kind, file_type])
    await auditor.enable(entry_of("buggy"))
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    await auditor.enable(device(log))
    assert auditor.request(an_entry()) is None
    assert auditor.health()[0].last_error == "ZeroDivisionError"
    await auditor.close()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("file", {}, "file_path is required"),
        ("file", {"file_path": "/dev/full"}, "audit backend failed test message: EINVAL"),
        ("file", {"file_path": "/nowhere/at/all/x.log"}, "audit backend failed test message: ENOENT"),
        ("file", {"file_path": "relative.log"}, "absolute path"),
        ("file", {"file_path": "/tmp/../etc/x"}, "absolute path"),
        ("file", {"file_path": "/tmp/x.log", "prefix": "#!/bin/sh"}, "audit log prefixing is not allowed"),
        ("file", {"file_path": "/tmp/x.log", "format": "jsonx"}, 'format "jsonx" is not supported'),
        (
            "file",
            {"file_path": "/tmp/x.log", "log_raw": "maybe"},
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        ("file", {"file_path": "/tmp/x.log", "mode": "0777"}, "too wide"),
        ("file", {"file_path": "/tmp/x.log", "mode": "zz"}, "mode must be octal"),
        ("file", {"file_path": "/tmp/x.log", "filepath": "/x"}, 'unknown option "filepath"'),
        ("nope", {}, 'unknown backend type: "nope"'),
    ],
)
async def test_a_device_that_cannot_work_is_refused_when_enabled(auditor, kind, options, message):
    with pytest.raises(InvalidRequest, match=message):
        await auditor.enable(new_entry("x", kind, options, from_config=True))
    assert auditor.list() == ()


async def test_a_path_is_used_once(auditor, log):
    await auditor.enable(device(log))
    with pytest.raises(InvalidRequest, match="path already in use"):
        await auditor.enable(device(log))


async def test_a_device_of_the_table_that_cannot_start_fails_closed(auditor, tmp_path):
    folder = tmp_path / "later"
    await auditor.enable(device(folder / "audit.log"), probe=False)
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    folder.mkdir()
    assert auditor.request(an_entry()) is None


async def test_a_device_of_the_table_whose_plugin_is_gone_fails_closed():
    auditor = Auditor([])
    await auditor.enable(entry_of("gone"), probe=False)
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())


async def test_enabling_again_hashes_under_a_new_salt(auditor, log):
    first, second = device(log), device(log)
    await auditor.enable(first)
    before = auditor.hash("file", "value")
    assert await auditor.disable("file")
    await auditor.enable(second)
    assert auditor.hash("file/", "value") != before
    assert first.accessor != second.accessor
    assert not await auditor.disable("other")


async def test_hash_names_an_unknown_device(auditor):
    with pytest.raises(InvalidRequest, match='unknown audit backend "nope/"'):
        auditor.hash("nope", "x")


async def test_what_hash_says_is_what_the_log_shows(auditor, log):
    await auditor.enable(device(log))
    auditor.request(an_entry(data={"text": "a", "number": 5, "flag": True}))
    shown = records(log)[-1]["request"]
    assert shown["data"] == {
        "text": auditor.hash("file", "a"),
        "number": auditor.hash("file", 5),
        "flag": auditor.hash("file", True),
    }
    assert shown["client_token"] == auditor.hash("file", TOKEN)


async def test_the_salt_is_not_shown_by_the_record():
    entry = device("/tmp/x")
    assert entry.salt not in repr(entry)


async def test_closing_forgets_tokens(auditor, log):
    await auditor.enable(device(log))
    auditor.request(an_entry())
    running = auditor._order[0]
    assert running.salt.recent.cache_info().currsize > 0
    await auditor.close()
    assert running.salt.recent.cache_info().currsize == 0
    assert running.encoder._auth_json.cache_info().currsize == 0


async def test_a_deleted_file_is_noticed_and_begun_anew(auditor, log, monkeypatch):
    monkeypatch.setattr("broker_plugins.audit.file.device.CHECK_EVERY_SECONDS", 0)
    await auditor.enable(device(log))
    log.unlink()
    assert auditor.request(an_entry()) is None
    assert len(records(log)) == 1
    assert auditor.health()[0].replaced == 1
    assert verify_file(log).intact


def test_the_guard_is_closed_by_default():
    assert AuditGuard() == AuditGuard(directory=None, unsafe=False)


async def test_a_file_replaced_while_the_device_was_failing_begins_a_chain_of_its_own(auditor, log, tmp_path):
    await auditor.enable(device(log))
    auditor.request(an_entry())
    old = tmp_path / "old.log"
    log.rename(old)
    log.mkdir()
    auditor.reopen()
    for _ in range(3):
        with pytest.raises(AuditFailed):
            auditor.request(an_entry())
    log.rmdir()
    auditor.request(an_entry())
    assert verify_file(old).complete
    assert verify_file(log).intact
    assert auditor.health()[0].replaced == 0


async def test_a_file_replaced_after_a_failed_write_is_not_continued_in_the_new_one(auditor, log, tmp_path):
    await auditor.enable(device(log))
    auditor.request(an_entry())
    running = auditor._order[0]
    running.device._release()  # As after a failed write.
    log.rename(tmp_path / "old.log")
    assert auditor.request(an_entry()) is None
    auditor.reopen()
    assert verify_file(log).intact
    assert auditor.health()[0].replaced == 1


async def test_a_network_device_gets_its_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr("broker.audit.chain.CHECKPOINT_EVERY", 5)
    kind, net = network()
    auditor = Auditor([kind])
    await auditor.enable(entry_of("net"))
    for _ in range(11):
        await settle(auditor.request(an_entry()))
    await auditor.close()
    received = tmp_path / "received.log"
    received.write_bytes(b"".join(net.lines))
    report = verify_file(received)
    assert report.complete
    assert report.checkpoints == 3


async def test_a_bad_option_in_the_table_fails_closed(auditor, log):
    await auditor.enable(device(log, log_raw="maybe"), probe=False)
    with pytest.raises(AuditFailed):
        auditor.request(an_entry())
    assert not log.exists()


async def test_the_operational_log_names_every_writer(auditor, log, caplog):
    with caplog.at_level(logging.INFO, "broker.audit"):
        await auditor.enable(device(log))
        auditor.reopen()
        auditor.request(an_entry())
    named = {record.writer for record in caplog.records if record.message == "audit_chain_started"}
    assert {line["chain"]["writer"] for line in records(log)} == named
    assert len(named) == 2


async def test_the_public_key_of_a_device_verifies_its_file(auditor, log):
    await auditor.enable(device(log))
    key = auditor.public_key("file")
    await auditor.close()
    report = verify_file(log, key)
    assert report.complete
    assert report.signatures_checked
