"""Making entries, devices and rotten files for the audit tests."""

import json
from pathlib import Path
from typing import Any

from broker.audit import AuditEntry, AuditTableEntry, AuthFacts, GrantingPolicy, PolicyResults, new_entry
from broker.plugin.context import Mount, MountConfig

TOKEN = "hvs.thetokeninclear"
ACCESSOR = "theaccessorinclear"


def device(path: Path | str, name: str = "file", **options: str) -> AuditTableEntry:
    return new_entry(name, "file", {"file_path": str(path), **options}, from_config=True)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def an_entry(**changes: Any) -> AuditEntry:
    facts: dict[str, Any] = {
        "request_id": "r-1",
        "operation": "update",
        "path": "secret/data/a",
        "mount": Mount("secret/", "kv", "uuid", "kv_1", config=MountConfig()),
        "client_token": TOKEN,
        "client_token_accessor": ACCESSOR,
        "remote_address": "127.0.0.1",
        "remote_port": 4711,
        "auth": AuthFacts(TOKEN, ACCESSOR, "app", ("default", "p"), ("default", "p"), token_type="service"),
        "policy_results": PolicyResults(True, (GrantingPolicy("p", "root", "", "acl"),)),
    }
    return AuditEntry(**{**facts, **changes})


async def settle(outcome: Any) -> None:
    """Await what an auditor returned, if it is to be awaited."""
    if outcome is not None:
        await outcome
