"""Workers follow one stored table of audit devices: the file's stanzas, the API's, and chosen headers."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pytest
from broker_plugins.audit.file import register_audit_devices
from broker_plugins.storage.sqlite import SqliteBackend

from broker.access.policies import PolicyStore
from broker.access.tokens import TokenStore
from broker.audit import Auditor, AuditTable, new_entry
from broker.audit.guard import AuditGuard
from broker.audit.verify import verify_file
from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.core.devices import CHECKPOINT_SECONDS, HEADERS, TABLE, Devices, HeadersRecord
from broker.core.tenants import Tenant
from broker.plugin.context import NamespaceInfo
from broker.plugin.errors import InvalidRequest
from broker.storage import LocalSignal, TenantStore, Writer
from tests.audit.helpers import an_entry, records


@dataclass
class Stanza:
    type: str
    path: str
    options: dict = field(default_factory=dict)
    description: str = ""


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@dataclass
class Worker:
    store: TenantStore
    auditor: Auditor
    devices: Devices

    async def follow(self):
        await self.devices.follow(await self.store.begin())

    async def save(self, path, record):
        tx = await self.store.begin()
        tx.save(path, record)
        await tx.commit()

    def record(self):
        assert self.auditor.request(an_entry()) is None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def worker(tmp_path, clock):
    """Build one more worker of the node: ``worker(*stanzas)``."""
    backend = SqliteBackend(str(tmp_path / "data"))
    raw, signal = await backend.open("root", create=True), LocalSignal()
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    built = []

    def build(*stanzas):
        store = TenantStore(raw, tenant="root", codec=codec, signal=signal, writer=Writer())
        root = Tenant(NamespaceInfo("root", "root", ""), None, store, TokenStore("root"), PolicyStore())
        make = partial(Auditor, register_audit_devices(), guard=AuditGuard(unsafe=True))
        auditor = make()
        built.append(Worker(store, auditor, Devices(auditor, root, stanzas, make=make, clock=clock)))
        return built[-1]

    yield build
    for each in built:
        await each.auditor.close()
    await backend.close()


def paths(worker):
    return [entry.path for entry in worker.auditor.list()]


def stanza(tmp_path, name, **more):
    return Stanza("file", name, {"file_path": str(tmp_path / f"{name}.log")}, **more)


async def test_stanzas_become_devices_and_keep_their_salt_through_restarts(worker, tmp_path):
    first, second = worker(stanza(tmp_path, "a")), worker(stanza(tmp_path, "a"))
    await first.devices.start()
    await second.devices.start()
    assert paths(first) == paths(second) == ["a/"]
    assert first.auditor.hash("a", "x") == second.auditor.hash("a", "x")


async def test_a_stanza_that_is_gone_takes_its_device_along_and_a_changed_one_gets_a_new_salt(
    worker, tmp_path
):
    before = worker(stanza(tmp_path, "a"), stanza(tmp_path, "b"))
    await before.devices.start()
    kept = before.auditor.hash("b", "x")
    after = worker(stanza(tmp_path, "b", description="changed"))
    await after.devices.start()
    assert paths(after) == ["b/"]
    assert after.auditor.hash("b", "x") != kept
    nothing = worker()
    await nothing.devices.start()
    assert paths(nothing) == []


async def test_devices_of_the_api_stay_when_the_file_changes(worker, tmp_path):
    first = worker()
    await first.devices.start()
    entry = new_entry("api", "file", {"file_path": str(tmp_path / "api.log")})
    await first.save(TABLE, AuditTable(entries=(entry,)))
    second = worker(stanza(tmp_path, "a"))
    await second.devices.start()
    assert paths(second) == ["api/", "a/"]


async def test_a_stanza_cannot_be_taken_over_by_a_device_of_the_same_name(worker, tmp_path):
    first = worker()
    await first.devices.start()
    same = stanza(tmp_path, "a")
    await first.save(TABLE, AuditTable(entries=(new_entry("a", "file", same.options),)))
    second = worker(same)
    await second.devices.start()
    [entry] = second.auditor.list()
    assert entry.from_config


async def test_every_worker_follows_the_table_and_the_headers(worker, tmp_path):
    one, two = worker(), worker()
    await one.devices.start()
    await two.devices.start()
    entry = new_entry("api", "file", {"file_path": str(tmp_path / "api.log")})
    await one.save(HEADERS, HeadersRecord(headers={"x-run": False}))
    await one.save(TABLE, AuditTable(entries=(entry,)))
    for each in (one, two):
        await each.follow()
        entry_with = an_entry(headers={"x-run": ["7"]})
        assert each.auditor.request(entry_with) is None
    assert [line["request"]["headers"] for line in records(tmp_path / "api.log")] == [{"x-run": ["7"]}] * 2
    await two.save(TABLE, AuditTable())
    await one.follow()
    assert paths(one) == []


async def test_a_request_that_began_before_a_change_does_not_undo_it(worker, tmp_path):
    one = worker()
    await one.devices.start()
    entry = new_entry("api", "file", {"file_path": str(tmp_path / "api.log")})
    await one.save(TABLE, AuditTable())
    await one.follow()
    early = await one.store.begin()
    await early.load(TABLE, AuditTable)
    await one.save(TABLE, AuditTable(entries=(entry,)))
    await one.follow()
    await one.devices.follow(early)
    assert paths(one) == ["api/"]


async def test_a_trial_leaves_no_device_behind(worker, tmp_path):
    one = worker()
    await one.devices.start()
    log = tmp_path / "a.log"
    await one.devices.probe(new_entry("a", "file", {"file_path": str(log)}))
    assert paths(one) == [] and log.exists()
    with pytest.raises(InvalidRequest):
        await one.devices.probe(new_entry("b", "file", {"file_path": str(tmp_path / "no" / "b.log")}))


async def test_a_quiet_log_is_signed_about_once_a_minute(worker, tmp_path, clock):
    one = worker(stanza(tmp_path, "a"))
    await one.devices.start()
    log = tmp_path / "a.log"
    one.record()
    await one.devices.upkeep()
    assert verify_file(log, one.auditor.public_key("a")).checkpoints == 0
    clock.now += CHECKPOINT_SECONDS
    await one.devices.upkeep()
    await one.devices.upkeep()
    assert verify_file(log, one.auditor.public_key("a")).checkpoints == 1
