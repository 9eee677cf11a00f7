"""The audit log says who called, and a namespace from before identity gets it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker_plugins.storage.inmem import InmemBackend

from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.core.records import MOUNTS, MountTable
from broker.core.tenants import builtin_mounts, complete_mounts, new_mount
from broker.storage import LocalSignal, TenantStore, Writer
from tests.core.identity.conftest import Api, open_people


def test_the_audit_log_names_the_entity_and_its_policies(node: Callable[..., Api], tmp_path: Path, word: str):
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o750)
    api = node(audit_directory=str(folder))
    log = folder / "a.log"
    api.done("PUT", "sys/audit/main", {"type": "file", "options": {"file_path": str(log)}})
    people = open_people(api, word)
    token, entity = people.person("ann")
    people.done("POST", f"identity/entity/id/{entity}", {"policies": ["extra"]})
    people.ask("GET", "sys/mounts", token=token)
    people.log_in("ann")
    records: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    asked = next(r for r in records if r["type"] == "request" and r["auth"].get("entity_id") == entity)
    assert asked["auth"]["identity_policies"] == ["extra"]
    assert asked["auth"]["policies"] == ["default", "extra"]
    assert asked["auth"]["token_policies"] == ["default"]
    logged_in = records[-1]["response"]["auth"] if "response" in records[-1] else {}
    assert logged_in["entity_id"] == entity and logged_in["identity_policies"] == ["extra"]
    assert token not in log.read_text()


async def empty() -> TenantStore:
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    raw = await InmemBackend().open("root", create=True)
    return TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())


async def prefixes(space: TenantStore) -> list[str]:
    table = await (await space.begin()).load(MOUNTS, MountTable)
    assert table is not None
    return sorted(mount.prefix for mount in table.mounts)


async def test_a_store_from_before_identity_gets_its_mount_once_and_keeps_the_rest():
    space = await empty()
    await complete_mounts(space)  # not born yet: nothing to complete
    assert await (await space.begin()).scan("") == []
    old = (*(mount for mount in builtin_mounts() if mount.type != "identity"), new_mount("kv/", "kv"))
    tx = await space.begin()
    tx.save(MOUNTS, MountTable(old))
    await tx.commit()
    await complete_mounts(space)
    assert await prefixes(space) == ["auth/token/", "cubbyhole/", "identity/", "kv/", "sys/"]
    tx = await space.begin()
    table = await tx.load(MOUNTS, MountTable)
    assert table is not None and table.mounts[: len(old)] == old
    await complete_mounts(space)
    assert await (await space.begin()).load(MOUNTS, MountTable) == table
