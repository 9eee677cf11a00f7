"""What happens when the disk is full or somebody changes the store: errors by name, no loss, no secret served."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.invariants.node import Node, eventually, fill

NEEDS_ROOT = pytest.mark.may_skip("mounting a small filesystem needs root")


def base_of(node: Node, tenant: str = "root") -> Path:
    return node.folder / "data" / f"{tenant}.db"


def edited(node: Node, edit: Callable[[sqlite3.Connection], None], tenant: str = "root") -> None:
    """Stop the server hard, change a store behind its back, start again."""
    node.server.kill()
    with closing(sqlite3.connect(base_of(node, tenant), isolation_level=None)) as base:
        edit(base)
    node.restart()


def uuid_of(node: Node, mount: str, namespace: str = "") -> str:
    return node.ok("GET", "sys/mounts", namespace=namespace).data[f"{mount}/"]["uuid"]


def rows(base: sqlite3.Connection, like: str) -> dict[str, bytes]:
    return dict(base.execute("SELECT path, value FROM entries WHERE path LIKE ?", (like,)).fetchall())


def spoil(base: sqlite3.Connection, path: str, at: int = -1) -> None:
    """Turn one bit of a stored entry."""
    changed = bytearray(rows(base, path)[path])
    changed[at] ^= 1
    put(base, path, bytes(changed))


def put(base: sqlite3.Connection, path: str, value: bytes) -> None:
    assert base.execute("UPDATE entries SET value = ? WHERE path = ?", (value, path)).rowcount == 1


FLIPPED = {"format": 0, "term": 1, "termend": 4, "nonce": 5, "body": 20, "tag": -1}
"""In which byte of the stored entry of that name one bit is turned."""


def test_a_flipped_bit_spoils_that_entry_only_and_is_told_by_name(begin):
    node = begin()
    node.kv("secret", version=1)
    for name in (*FLIPPED, "good"):
        node.ok("POST", f"secret/{name}", {"k": f"value of {name}"})
    mine = f"logical/{uuid_of(node, 'secret')}/%"

    def flip(base: sqlite3.Connection) -> None:
        for path in rows(base, mine):
            at = FLIPPED.get(path.rpartition("/")[2])
            if at is not None:
                spoil(base, path, at)

    edited(node, flip)
    lines = node.spread()
    for name in FLIPPED:
        for line in lines[:6]:
            reply = line.call("GET", f"secret/{name}")
            assert reply.status == 500 and b"value of" not in reply.raw, reply
            assert f"/{name}' does not open" in reply.errors[0]
            assert line.ok("GET", "secret/good").data == {"k": "value of good"}
        assert f"/{name}' does not open" in node.server.log_path.read_text()
    assert node.ok("LIST", "secret").data["keys"] == sorted([*FLIPPED, "good"])
    for name in FLIPPED:
        node.ok("DELETE", f"secret/{name}")
        node.ok("POST", f"secret/{name}", {"k": "written anew"})
        assert node.ok("GET", f"secret/{name}").data == {"k": "written anew"}


def test_a_versioned_secret_whose_metadata_are_damaged_can_be_got_rid_of(begin):
    node = begin()
    node.kv("secret")
    for name in (*FLIPPED, "good"):
        for number in (1, 2):
            node.ok("POST", f"secret/data/{name}", {"data": {"k": f"value of {name} {number}"}})
    node.ok("POST", "secret/data/body/below", {"data": {"k": "below"}})
    prefix = f"logical/{uuid_of(node, 'secret')}"
    node.policy("reader", 'path "secret/data/*" { capabilities = ["read"] }')
    node.policy("remover", 'path "secret/metadata/*" { capabilities = ["delete"] }')
    reader, remover = node.mint("reader"), node.mint("remover")

    def flip(base: sqlite3.Connection) -> None:
        for name, at in FLIPPED.items():
            spoil(base, f"{prefix}/meta/{name}", at)
        spoil(base, f"{prefix}/ver/good/1")

    edited(node, flip)
    lines = node.spread()[:6]
    assert node.ok("LIST", "secret/metadata").data["keys"] == sorted([*FLIPPED, "good", "body/"])
    for name in FLIPPED:
        for line in lines:
            for path in (f"secret/data/{name}", f"secret/metadata/{name}"):
                reply = line.call("GET", path)
                assert reply.status == 500 and f"/meta/{name}' does not open" in reply.errors[0]
        # Who may not write learns nothing from trying.
        assert node.call("POST", f"secret/data/{name}", {"data": {}}, token=reader).status == 403
        assert node.call("DELETE", f"secret/metadata/{name}", token=reader).status == 403
        node.ok("DELETE", f"secret/metadata/{name}", token=remover)
        for line in lines:
            assert line.call("GET", f"secret/data/{name}").status == 404
        assert node.ok("POST", f"secret/data/{name}", {"data": {"k": "anew"}}).data["version"] == 1
        assert node.call("GET", f"secret/data/{name}?version=2").status == 404
    assert node.ok("GET", "secret/data/body/below").data["data"] == {"k": "below"}
    assert "/ver/good/1' does not open" in node.call("GET", "secret/data/good?version=1").errors[0]
    assert node.ok("GET", "secret/data/good").data["data"] == {"k": "value of good 2"}
    node.ok("PUT", "secret/destroy/good", {"versions": [1]})
    assert node.call("GET", "secret/data/good?version=1").status == 404
    node.server.kill()
    with closing(sqlite3.connect(base_of(node))) as base:
        left = {path.removeprefix(f"{prefix}/") for path in rows(base, f"{prefix}/ver/%")}
    assert left == {*(f"ver/{name}/1" for name in FLIPPED), "ver/body/below/1", "ver/good/2"}


def test_swapped_entries_do_not_open(begin):
    node = begin()
    node.kv("secret", version=1)
    for name in ("mine", "yours", "other"):
        node.ok("POST", f"secret/{name}", {"k": f"value of {name}"})
    prefix = f"logical/{uuid_of(node, 'secret')}/"

    def swap(base: sqlite3.Connection) -> None:
        found = {path.rpartition("/")[2]: path for path in rows(base, f"{prefix}%")}
        values = rows(base, f"{prefix}%")
        put(base, found["mine"], values[found["yours"]])
        put(base, found["yours"], values[found["mine"]])

    edited(node, swap)
    for name in ("mine", "yours"):
        reply = node.call("GET", f"secret/{name}")
        assert reply.status == 500 and b"value of" not in reply.raw
    assert node.ok("GET", "secret/other").data == {"k": "value of other"}


def test_a_policy_or_token_row_moved_to_another_name_gives_no_rights(begin):
    node = begin()
    node.kv("secret", version=1)
    node.ok("POST", "secret/a", {"k": "v"})
    node.policy("strong", 'path "*" { capabilities = ["read", "sudo"] }')
    node.policy("weak", 'path "nothing" { capabilities = ["read"] }')
    token = node.mint("weak")
    strong = node.mint("strong")

    def move(base: sqlite3.Connection) -> None:
        paths = [path for path in rows(base, "%") if path.endswith(("/strong", "/weak"))]
        assert len(paths) == 2
        by_name = {path.rpartition("/")[2]: path for path in paths}
        put(base, by_name["weak"], rows(base, by_name["strong"])[by_name["strong"]])

    edited(node, move)
    reply = node.call("GET", "secret/a", token=token)
    assert reply.status in (403, 500) and b'"k"' not in reply.raw
    node.ok("GET", "secret/a", token=strong)
    node.ok("DELETE", "sys/policies/acl/weak")
    node.ok("PUT", "sys/policies/acl/weak", {"policy": 'path "secret/a" { capabilities = ["read"] }'})
    node.ok("GET", "secret/a", token=token)


def test_rows_and_files_of_one_tenant_do_not_open_in_another(begin):
    node = begin()
    tenants = {
        name: node.ok("PUT", f"sys/namespaces/{name}").data["uuid"] for name in ("one", "two", "three")
    }
    for name in tenants:
        node.kv("secret", version=1, namespace=name)
        node.ok("POST", "secret/a", {"k": f"value of {name}"}, namespace=name)
    node.server.kill()
    files = {name: base_of(node, tenant) for name, tenant in tenants.items()}
    opened = {name: sqlite3.connect(file, isolation_level=None) for name, file in files.items()}
    # Every row of one, under its own path, into two; and a whole file of three under one's name.
    for path, value in rows(opened["one"], "%").items():
        if path.startswith(("core/", "sys/", "logical/", "token", "auth/", "policy")):
            opened["two"].execute("INSERT OR REPLACE INTO entries VALUES (?, ?, 1)", (path, value))
    for base in opened.values():
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
    shutil.copyfile(files["three"], files["one"])
    node.restart()
    for name in ("one", "two"):
        for path in ("secret/a", "sys/mounts"):
            reply = node.call("GET", path, namespace=name)
            assert reply.status == 500 and b"value of" not in reply.raw, f"{name} {path}: {reply}"
    assert node.ok("GET", "secret/a", namespace="three").data == {"k": "value of three"}
    node.ok("GET", "sys/mounts")


@NEEDS_ROOT
def test_on_a_full_disk_reads_go_on_writes_say_so_and_space_heals_it(begin, small_disk):
    disk = small_disk(3072)
    node = begin(data=disk / "data", workers=2)
    node.kv("secret", version=1)
    acknowledged = {f"k{number}": "x" * 500 for number in range(20)}
    for name, value in acknowledged.items():
        node.ok("POST", f"secret/{name}", {"v": value})
    token = node.mint("default")
    node.ok("GET", "auth/token/lookup-self", token=token)
    fill(disk / "ballast")
    lines = node.spread()
    refusals = 0
    for number in range(400):
        name, line = f"n{number}", lines[number % len(lines)]
        reply = line.call("POST", f"secret/{name}", {"v": "y" * 5000})
        if reply.status == 204:
            acknowledged[name] = "y" * 5000
            continue
        refusals += 1
        assert reply.status == 507 and "insufficient storage" in reply.errors[0], reply
        if refusals > 20:
            break
    assert refusals > 20
    assert line.call("POST", "auth/token/create", {"id": "chosen", "meta": {"m": "z" * 5000}}).status == 507
    for name, value in acknowledged.items():
        assert node.ok("GET", f"secret/{name}").data == {"v": value}
    for line in lines:
        line.ok("GET", "auth/token/lookup-self", token=token)
    assert "storage_full" in node.server.log_path.read_text()
    (disk / "ballast").unlink()
    eventually(lambda: node.call("POST", "secret/after", {"v": "1"}).status == 204)
    assert node.call("GET", "auth/token/lookup-self", token="chosen").status == 403
    node.server.kill()
    with closing(sqlite3.connect(disk / "data" / "root.db")) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    node.restart()
    for name, value in acknowledged.items():
        assert node.ok("GET", f"secret/{name}").data == {"v": value}
    assert set(node.ok("LIST", "secret").data["keys"]) == {*acknowledged, "after"}


@NEEDS_ROOT
def test_a_server_killed_on_a_full_disk_starts_again_and_reads(begin, small_disk):
    disk = small_disk(3072)
    node = begin(data=disk / "data", workers=2)
    node.kv("secret", version=1)
    node.ok("POST", "secret/a", {"v": "1"})
    fill(disk / "ballast")
    number = 0
    while node.call("POST", f"secret/n{number}", {"v": "y" * 5000}).status == 204:
        number += 1
    node.server.kill()
    (disk / "ballast").unlink()
    node.restart()
    assert node.ok("GET", "secret/a").data == {"v": "1"}
    assert len(node.ok("LIST", "secret").data["keys"]) == number + 1


def test_a_store_of_another_tenant_that_is_gone_leaves_the_rest_alone(begin):
    node = begin()
    tenant = node.ok("PUT", "sys/namespaces/one").data["uuid"]
    spared = node.ok("PUT", "sys/namespaces/two").data["uuid"]
    node.kv("secret", version=1)
    node.ok("POST", "secret/a", {"k": "v"})
    for namespace in ("", "two"):
        node.mint("default", namespace=namespace, ttl="2s")
    node.server.kill()
    for file in base_of(node).parent.glob(f"{tenant}.db*"):
        file.write_bytes(b"this is no database" * 100)
    node.restart()
    assert node.call("GET", "sys/mounts", namespace="one").status in (500, 503)
    assert node.ok("GET", "secret/a").data == {"k": "v"}
    node.ok("POST", "secret/b", {"k": "v"})

    def tokens(tenant: str) -> int:
        with closing(sqlite3.connect(f"file:{base_of(node, tenant)}?mode=ro", uri=True)) as base:
            return len(rows(base, "sys/token/id/%"))

    eventually(lambda: tokens("root") == 1)  # the root token
    eventually(lambda: tokens(spared) == 0)


def test_a_damaged_row_that_a_node_can_do_without_keeps_nobody_out(begin):
    node = begin(workers=1)
    before = node.call("GET", "sys/health").body
    lost = ("core/versions", "core/settings")
    edited(node, lambda base: [spoil(base, path) for path in lost])
    log = node.server.log_path.read_text()
    for path in lost:
        assert f"store.row_lost path={path} " in log
    after = node.call("GET", "sys/health").body
    assert after["cluster_id"] and after["cluster_id"] != before["cluster_id"]
    assert len(node.ok("LIST", "sys/version-history").data["keys"]) == 1


UNSERVABLE = (
    ("core/mounts", -1, 500, "stored entry at 'core/mounts' does not open"),
    ("core/audit", -1, 500, "stored entry at 'core/audit' does not open"),
    ("core/quotas", -1, 500, "stored entry at 'core/quotas' does not open"),
    ("sys/token/salt", -1, 500, "stored entry at 'sys/token/salt' does not open"),
    ("core/keyring", -1, 500, "stored entry at 'core/keyring' is malformed"),
    ("core/root-key", -1, 500, "stored entry at 'core/root-key' is malformed"),
    ("core/keyring", None, 400, "the records were altered"),
    ("core/root-key", None, 400, "the records were altered"),
)
"""Rows without which nobody may be served, the byte of which a bit is turned (none: one inside what is sealed), what is said."""


def test_a_damaged_row_that_is_needed_keeps_the_node_sealed_and_says_what_to_do(begin):
    node = begin(workers=2)
    node.ok("POST", "sys/quotas/rate-limit/wide", {"rate": 100_000})
    node.ok("PUT", "sys/seal")
    with closing(sqlite3.connect(base_of(node), isolation_level=None)) as base:
        for path, at, status, said in UNSERVABLE:
            sound = rows(base, path)[path]
            if at is None:
                put(base, path, altered(sound))
            else:
                spoil(base, path, at)
            reply = node.call("PUT", "sys/unseal", {"key": node.share}, token="")
            assert reply.status == status and said in reply.errors[0], (path, reply)
            logged = [line for line in node.server.log_path.read_text().splitlines() if said in line]
            assert any(
                "seal.cannot_open" in line and "a sound copy of the storage" in line for line in logged
            )
            put(base, path, sound)
            assert node.call("GET", "sys/seal-status", token="").body["sealed"], path
            assert node.call("GET", "sys/mounts").status == 503
    node.unseal()
    node.ok("GET", "sys/mounts")
    log = node.server.log_path.read_text()
    told = re.findall(r"seal\.(initialized|opened|closed) by=127\.0\.0\.1", log)
    assert told == ["initialized", "opened", "closed", "opened"], "who did it stands in the log"
    assert node.share not in log and node.token not in log


def altered(record: bytes) -> bytes:
    """Change one character of the ciphertext in a stored part of the seal, so that it is well-formed still."""
    found = json.loads(record)
    wrapped = found["wrapped"]
    found["wrapped"] = wrapped[:20] + ("A" if wrapped[20] != "A" else "B") + wrapped[21:]
    return json.dumps(found).encode()
