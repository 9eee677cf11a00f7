"""Invariant: what no audit device accepts does not happen, and no secret leaves before its record is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial

import pytest

from tests.fixtures.servers import BIN
from tests.invariants.node import eventually, fill, together

NEEDS_ROOT = pytest.mark.may_skip("mounting a small filesystem needs root")


def device(path) -> dict[str, object]:
    return {"file": {"main": {"options": {"file_path": str(path)}}}}


def records(path) -> list[dict]:
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def refused(node) -> None:
    """Requests of every kind get 500 and have no effect."""
    for method, path, body in (
        ("GET", "secret/data/a", None),
        ("POST", "secret/data/new", {"data": {"k": "v"}}),
        ("POST", "secret/data/a", {"data": {"k": "changed"}}),
        ("DELETE", "secret/data/a", None),
        ("PUT", "sys/policies/acl/new", {"policy": 'path "x" { capabilities = ["read"] }'}),
        ("POST", "sys/mounts/new", {"type": "kv"}),
        ("POST", "auth/token/create", {"policies": ["default"], "id": "chosen"}),
        ("GET", "sys/mounts", None),
        ("PUT", "sys/seal", None),
        ("PUT", "sys/namespaces/new", None),
    ):
        reply = node.call(method, path, body)
        assert reply.status == 500, f"{method} {path}: {reply}"
        assert list(reply.body) == ["errors"]
    assert node.call("GET", "secret/data/a", token="").status in (403, 500)
    assert node.call("GET", "sys/health", token="").status == 200


def nothing_happened(node, before: set[str]) -> None:
    assert node.ok("GET", "secret/data/a").data["data"] == {"k": "v"}
    assert node.ok("LIST", "secret/metadata").data["keys"] == ["a"]
    assert node.call("GET", "sys/policies/acl/new").status == 404
    assert "new/" not in node.ok("GET", "sys/mounts").data
    assert node.call("GET", "sys/namespaces/new").status == 404
    assert node.call("GET", "auth/token/lookup-self", token="chosen").status == 403
    assert set(node.ok("LIST", "auth/token/accessors").data["keys"]) == before


def prepared(node) -> set[str]:
    node.kv("secret")
    node.ok("POST", "secret/data/a", {"data": {"k": "v"}})
    return set(node.ok("LIST", "auth/token/accessors").data["keys"])


def works(node) -> bool:
    return node.call("GET", "secret/data/a").status == 200


def test_with_the_audit_folder_gone_nothing_happens_until_it_is_back(begin, tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    node = begin(audit=device(folder / "audit.log"))
    before = prepared(node)
    shutil.rmtree(folder)
    # A file that is taken away is noticed within about a second; its lines still count until then.
    lines = node.spread()
    eventually(lambda: all(line.call("GET", "sys/mounts").status == 500 for line in lines))
    refused(node)
    folder.mkdir()
    eventually(lambda: all(works(line) for line in lines))
    nothing_happened(node, before)
    assert records(folder / "audit.log")


@NEEDS_ROOT
def test_a_full_audit_disk_refuses_requests_and_space_brings_them_back(begin, small_disk):
    disk = small_disk(256)
    node = begin(audit=device(disk / "audit.log"))
    before = prepared(node)
    ballast = disk / "ballast"
    fill(ballast)
    lines = node.spread()
    eventually(lambda: all(line.call("GET", "sys/mounts").status == 500 for line in lines))
    refused(node)
    assert "ENOSPC" in node.server.log_path.read_text()
    ballast.unlink()
    eventually(lambda: all(works(line) for line in lines))
    nothing_happened(node, before)
    verify(node, disk / "audit.log")


def verify(node, path) -> None:
    done = subprocess.run(
        [str(BIN / "broker"), "audit", "verify", str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_ROOT
def test_a_read_only_audit_disk_refuses_requests(begin, small_disk):
    disk = small_disk(1024)
    (disk / "in").mkdir()
    node = begin(audit=device(disk / "in" / "audit.log"))
    before = prepared(node)
    # Our own open file keeps a plain remount busy; a bind mount over the folder takes it away instead.
    (disk / "in").rename(disk / "away")
    (disk / "in").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(disk / "in")], check=True)
    try:
        lines = node.spread()
        eventually(lambda: all(line.call("GET", "sys/mounts").status == 500 for line in lines))
        refused(node)
    finally:
        subprocess.run(["umount", "-l", str(disk / "in")], check=True)
    eventually(lambda: all(works(line) for line in lines))
    nothing_happened(node, before)


def test_one_of_two_devices_is_enough(begin, tmp_path):
    gone, kept = tmp_path / "gone", tmp_path / "kept"
    gone.mkdir()
    kept.mkdir()
    options = {
        name: {"options": {"file_path": str(tmp_path / name / "audit.log")}} for name in ("gone", "kept")
    }
    node = begin(audit={"file": options})
    prepared(node)
    shutil.rmtree(gone)
    node.ok("POST", "secret/data/b", {"data": {"k": "v"}})
    eventually(lambda: works(node) and "audit_device_failed" in node.server.log_path.read_text())
    asked = node.ok("GET", "secret/data/b").body["request_id"]
    mine = [
        entry["type"] for entry in records(kept / "audit.log") if entry.get("request", {}).get("id") == asked
    ]
    assert mine == ["request", "response"]


@NEEDS_ROOT
@pytest.mark.parametrize("path", ["auth/token/create", "auth/token/create-orphan"])
def test_a_token_whose_response_cannot_be_recorded_is_revoked(begin, small_disk, path):
    """Room for the request's line, none for the response's: the caller gets 500, and the token is dead."""
    disk = small_disk(256)
    node = begin(audit=device(disk / "audit.log"), workers=1)
    before = prepared(node)
    log, ballast = disk / "audit.log", disk / "ballast"
    long = "m" * 3000  # a response of this token takes more than a page, its request does not
    outcomes = set()
    for spare in range(40):
        fill(ballast)
        room(ballast, spare)
        chosen = f"chosen-{spare}"
        body = {"policies": ["default"], "id": chosen, "meta": {"m": long}}
        reply = node.call("POST", path, body)
        text = log.read_text()
        ballast.unlink()
        eventually(lambda: works(node))
        usable = node.call("GET", "auth/token/lookup-self", token=chosen).status
        assert (reply.status, usable) in ((200, 200), (500, 403)), (
            f"{reply.status} but then {usable}: {text[-300:]}"
        )
        outcomes.add((reply.status, recorded(text)))
        if reply.status == 200:
            node.ok("POST", "auth/token/revoke", {"token": chosen})
            break
    assert (500, True) in outcomes, outcomes
    assert set(node.ok("LIST", "auth/token/accessors").data["keys"]) == before


def room(ballast, pages: int) -> None:
    """Leave so many pages free, besides what is left of the log's last page."""
    size = ballast.stat().st_size - pages * 4096
    os.truncate(ballast, max(size, 0))


def recorded(text: str) -> bool:
    """Whether the last whole record is the request of a token's creation: only its response was refused."""
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    entries = [entry for entry in entries if entry["type"] in ("request", "response")]
    last = entries[-1]
    return last["type"] == "request" and last["request"]["path"].startswith("auth/token/create")


def test_every_answered_request_stands_in_the_log_once_with_both_records(begin):
    """Also those that ran again because another changed what they rested on."""
    node = begin(workers=3)
    prepared(node)
    rule = 'path "secret/*" { capabilities = ["read", "create", "update"] }'
    node.policy("app", rule)
    token = node.mint("app")
    lines = node.spread()

    def work(number: int) -> list[str]:
        line, asked = lines[number], []
        for turn in range(6):
            if number % 6 == 0:
                line.ok("PUT", "sys/policies/acl/app", {"policy": rule + f"  # {number} {turn}"})
            else:
                body = {"data": {"turn": turn}}
                asked.append(line.ok("POST", "secret/data/same", body, token=token).body["request_id"])
                asked.append(line.ok("GET", "secret/data/same", token=token).body["request_id"])
        return asked

    found = together([partial(work, number) for number in range(len(lines))])
    asked = [request for requests in found for request in requests]
    kinds: dict[str, list[str]] = {}
    for entry in records(node.audit_log):
        kinds.setdefault(entry.get("request", {}).get("id", ""), []).append(entry["type"])
    assert [kinds[request] for request in asked if kinds[request] != ["request", "response"]] == []
    verify(node, node.audit_log)
