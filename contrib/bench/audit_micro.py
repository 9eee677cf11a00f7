"""What auditing costs: the two records of one KV read, from facts to lines in a file.

Run: python contrib/bench/audit_micro.py [FOLDER]     (FOLDER: where the file goes; a temporary one otherwise)
"""

import asyncio
import platform
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

from broker_plugins.audit.file import register_audit_devices

from broker.audit import (
    AuditEntry,
    Auditor,
    AuthFacts,
    GrantingPolicy,
    PolicyResults,
    ResponseFacts,
    new_entry,
)
from broker.audit.chain import public_key
from broker.audit.verify import verify_file
from broker.plugin.context import Mount

ROUNDS, REPEATS = 5000, 9
MOUNT = Mount("secret/", "kv", "b7a1", "kv_6e3a3377")
AUTH = AuthFacts(
    "hvs.CAESIJ1q2w3e4r5t6y7u8i9o", "Jr5Cb9dfmyuZYoZvD3ajv0Wr", "approle", ("app", "default"), ("app", "default"),
    metadata={"role_name": "app"}, entity_id="ff1f32f0-b578-675e-c46b-b4c61e0e9fb7",
    token_type="service", token_ttl=3600, token_issue_time=1795366952,
)  # fmt: skip
RESULTS = PolicyResults(True, (GrantingPolicy("app", "root", "", "acl"),))
ANSWER = ResponseFacts(
    {
        "data": {"password": "correct horse battery staple"},
        "metadata": {
            "created_time": "2026-11-22T17:02:58.645606769Z",
            "custom_metadata": None,
            "deletion_time": "",
            "destroyed": False,
            "version": 1,
        },
    }
)


def one_read() -> AuditEntry:
    return AuditEntry(
        "88823202-9cee-c6ce-2cc2-1493bb45572c",
        "read",
        "secret/data/app/database",
        mount=MOUNT,
        client_id="ff1f32f0-b578-675e-c46b-b4c61e0e9fb7",
        client_token=AUTH.client_token,
        client_token_accessor=AUTH.accessor,
        remote_address="127.0.0.1",
        remote_port=52122,
        auth=AUTH,
        policy_results=RESULTS,
    )


def microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6


async def measure(name: str, target: str, folder: Path) -> None:
    auditor = Auditor(register_audit_devices())
    entry = new_entry("file", "file", {"file_path": target}, from_config=True)
    await auditor.enable(entry)

    def both_records() -> None:
        read = one_read()
        auditor.request(read)
        auditor.response(read, ANSWER)

    print(f"{name:<28}{microseconds(both_records):8.1f} us per read (two records)")
    await auditor.close()
    if Path(target).is_file():
        check(Path(target), public_key(entry.salt))


def check(path: Path, key: bytes) -> None:
    seconds = timeit.timeit(lambda: verify_file(path, key), number=1)
    report = verify_file(path, key)
    assert report.complete, report.problems
    print(f"{'verify':<28}{seconds / report.lines * 1e6:8.1f} us per line, {report.lines} lines, complete")


async def main(folder: Path) -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}")
    await measure("build, hash, chain", "discard", folder)
    await measure("the same, into a file", str(folder / "audit-micro.log"), folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        asyncio.run(main(Path(temporary)))
