"""Audit devices over the API: only where the operator's configuration lets them, alike on every worker."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.audit.verify import verify_file
from tests.core.system.conftest import Api

NOT_OVER_API = (
    "cannot enable audit device via API; use declarative, config-based audit device management instead"
)


def enable(path, **options):
    return {"type": "file", "options": {"file_path": str(path), **options}}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "audit"
    made.mkdir(mode=0o750)
    return made


@pytest.fixture
def guarded(node, folder):
    return node(audit_directory=str(folder))


def test_a_device_below_the_audit_directory_records_what_follows_on_every_worker(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/main", {**enable(log), "description": "the log", "local": True})
    shown = guarded.data("GET", "sys/audit")
    assert shown["main/"] == {
        "type": "file",
        "description": "the log",
        "options": {"file_path": str(log)},
        "local": True,
        "path": "main/",
    }
    seen = set()
    for number in range(200):
        fresh = Api(guarded.server, guarded.token)  # a connection of its own goes to either worker
        fresh.done("GET", "sys/mounts")
        fresh.close()
        seen = {line["chain"]["writer"] for line in lines(log) if "/audit/test" not in str(line)}
        if number > 4 and len(seen) >= 3:  # the trial and both workers
            break
    assert len(seen) >= 3
    requests = [
        line for line in lines(log) if line["type"] == "request" and line["request"]["path"] == "sys/mounts"
    ]
    responses = [line for line in lines(log) if line["type"] == "response"]
    assert len(requests) == number + 1
    assert {line["request"]["id"] for line in requests} <= {line["request"]["id"] for line in responses}


def test_the_log_says_which_policies_allowed_a_request(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/main", enable(log))
    token = guarded.token_with('path "sys/policies/acl" { capabilities = ["list"] }', name="lister")
    guarded.done("LIST", "sys/policies/acl", token=token)
    assert guarded.ask("GET", "sys/mounts", token=token).status == 403
    by_path = {(line["type"], line["request"]["path"]): line for line in lines(log) if "request" in line}
    results = by_path["request", "sys/policies/acl/"]["auth"]["policy_results"]
    assert results == {
        "allowed": True,
        "granting_policies": [{"name": "lister", "namespace_id": "root", "type": "acl"}],
    }
    assert by_path["request", "sys/policies/acl/"]["request"]["mount_running_version"].endswith(
        "+builtin.broker"
    )
    refused = by_path["response", "sys/mounts"]
    assert refused["auth"]["policy_results"] == {"allowed": False}
    assert token not in log.read_text()


OUTSIDE = (
    "/etc/cron.d/broker",
    "relative.log",
    "{folder}/../outside.log",
    "{folder}",
    "{folder}/",
    "{folder}/link/x.log",
    "/dev/full",
    "stdout",
    "discard",
    "",
    "{folder}/fifo",
    "{folder}/linked.log",
    "{folder}/second-name.log",
)


def test_a_device_outside_the_audit_directory_is_refused_and_nothing_is_created(guarded, folder, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "linked.log").symlink_to(outside / "target.log")
    os.mkfifo(folder / "fifo")
    (tmp_path / "precious").write_text("as it was")
    os.link(tmp_path / "precious", folder / "second-name.log")
    for written in OUTSIDE:
        for option in ("file_path", "path"):
            body = {"type": "file", "options": {option: written.format(folder=folder)}}
            reply = guarded.ask("PUT", "sys/audit/evil", body)
            assert reply.status == 400, (written, reply)
    assert guarded.data("GET", "sys/audit") == {}
    assert list(outside.iterdir()) == []
    assert (tmp_path / "precious").read_text() == "as it was"
    assert not (tmp_path / "outside.log").exists()


def test_an_option_that_could_make_the_log_something_else_is_refused(guarded, folder):
    wrong = (
        {"prefix": "#!/bin/sh\n"},
        {"mode": "0777"},
        {"mode": "0666"},
        {"mode": "u+x"},
        {"command": "id"},
    )
    for options in wrong:
        assert guarded.ask("PUT", "sys/audit/evil", enable(folder / "a.log", **options)).status == 400
    assert guarded.data("GET", "sys/audit") == {}
    assert list(folder.iterdir()) == []


def test_without_an_audit_directory_no_device_comes_over_the_api(node, tmp_path):
    plain = node()
    reply = plain.ask("PUT", "sys/audit/a", enable(tmp_path / "a.log"))
    assert (reply.status, reply.body["errors"]) == (400, [NOT_OVER_API])
    assert not (tmp_path / "a.log").exists()


def test_the_operators_switch_lifts_the_limit(node, tmp_path):
    lifted = node(unsafe_allow_api_audit_creation=True)
    lifted.done("PUT", "sys/audit/a", enable(tmp_path / "a.log"))
    assert (tmp_path / "a.log").exists()


def test_a_path_is_taken_once_and_unknown_types_are_refused(guarded, folder):
    guarded.done("PUT", "sys/audit/a", enable(folder / "a.log"))
    again = guarded.ask("PUT", "sys/audit/a", enable(folder / "b.log"))
    assert again.body["errors"] == ["path already in use"]
    below = guarded.ask("PUT", "sys/audit/a/b", enable(folder / "b.log"))
    assert below.body["errors"] == ["path already in use"]
    assert not (folder / "b.log").exists()
    assert guarded.ask("PUT", "sys/audit/c", {"type": "nonsense"}).status == 400


def test_of_many_callers_who_enable_one_path_at_once_one_wins(guarded, folder):
    def attempt(number):
        caller = Api(guarded.server, guarded.token)
        status = caller.ask("PUT", "sys/audit/a", enable(folder / f"{number}.log")).status
        caller.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(attempt, range(8)))
    assert answers == [204] + [400] * 7
    [entry] = guarded.data("GET", "sys/audit").values()
    key = bytes.fromhex(guarded.data("GET", "sys/audit/a")["public_key"])
    assert verify_file(entry["options"]["file_path"], key).intact


@pytest.mark.parametrize(
    "body",
    [
        {"type": 5},
        {"type": "file", "options": []},
        {"type": "file", "options": {"file_path": 7}},
        {"type": "file", "local": "perhaps"},
        {"type": "file", "description": "x" * 5000},
        {"type": "file", "unknown": 1},
        {"type": "file", "options": {f"o{number}": "x" for number in range(65)}},
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_in_a_sentence(api, body):
    reply = api.ask("PUT", "sys/audit/wrong", body)
    assert reply.status == 400 and len(reply.body["errors"][0]) > 10
    assert "wrong/" not in api.data("GET", "sys/audit")


def test_a_disabled_device_gets_no_more_lines_and_its_chain_is_closed(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/a", enable(log))
    key = bytes.fromhex(guarded.data("GET", "sys/audit/a")["public_key"])
    guarded.done("DELETE", "sys/audit/a")
    guarded.done("DELETE", "sys/audit/a")
    deadline = time.monotonic() + 20
    while (report := verify_file(log, key)).open_ends and time.monotonic() < deadline:
        time.sleep(0.05)  # the other worker follows within a tick
    assert report.intact and not report.open_ends
    before = log.read_bytes()
    guarded.done("GET", "sys/mounts")
    assert log.read_bytes() == before


def test_the_public_key_tells_a_forged_log(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/a", enable(log))
    guarded.done("PUT", "sys/audit/b", enable(folder / "b.log"))
    keys = [bytes.fromhex(guarded.data("GET", f"sys/audit/{name}")["public_key"]) for name in "ab"]
    assert verify_file(log, keys[0]).intact
    assert not verify_file(log, keys[1]).intact  # the trial's chain ends in a signature of the other key


def test_a_device_of_the_configuration_file_is_there_from_the_start_and_stays(node, folder, tmp_path):
    log = tmp_path / "config.log"
    stanza = {"file": {"fixed": {"options": {"file_path": str(log)}}}}
    server = node(audit=stanza, audit_directory=str(folder))
    assert server.data("GET", "sys/audit/fixed")["from_config"] is True
    reply = server.ask("DELETE", "sys/audit/fixed")
    assert reply.status == 400 and "configuration file" in reply.body["errors"][0]
    assert "fixed/" in server.data("GET", "sys/audit")
    assert any(line["type"] == "request" for line in lines(log))


def test_enabling_and_hashing_need_sudo(guarded, folder):
    guarded.done("PUT", "sys/audit/a", enable(folder / "a.log"))
    plain = guarded.token_with('path "sys/*" { capabilities = ["create", "read", "update", "delete"] }')
    asked = [
        ("PUT", "sys/audit/b", enable(folder / "b.log")),
        ("DELETE", "sys/audit/a", None),
        ("GET", "sys/audit", None),
        ("PUT", "sys/audit-hash/a", {"input": "x"}),
        ("PUT", "sys/config/auditing/request-headers/x-a", {}),
    ]
    for method, path, body in asked:
        assert guarded.ask(method, path, body, token=plain).status == 403, path
    powers = 'path "sys/audit-hash/*" { capabilities = ["update", "sudo"] }'
    guarded.done("PUT", "sys/audit-hash/a", {"input": "x"}, token=guarded.token_with(powers))


def test_a_hash_finds_the_value_in_its_own_log_only(guarded, folder):
    for name in "ab":
        guarded.done("PUT", f"sys/audit/{name}", enable(folder / f"{name}.log"))
    guarded.done("PUT", "cubbyhole/x", {"password": "tr0ub4dor"})
    found = [guarded.data("PUT", f"sys/audit-hash/{name}", {"input": "tr0ub4dor"})["hash"] for name in "ab"]
    assert found[0] != found[1]
    assert found[0] in (folder / "a.log").read_text()
    assert found[0] not in (folder / "b.log").read_text()
    assert "tr0ub4dor" not in (folder / "a.log").read_text()


def test_a_device_enabled_again_hashes_anew(guarded, folder):
    found = set()
    for _ in range(2):
        guarded.done("PUT", "sys/audit/a", enable(folder / "a.log"))
        found.add(guarded.data("PUT", "sys/audit-hash/a", {"input": "x"})["hash"])
        guarded.done("DELETE", "sys/audit/a")
    assert len(found) == 2


def test_a_namespace_has_no_say_in_audit(guarded, folder):
    guarded.done("PUT", "sys/namespaces/team")
    asked = [
        ("PUT", "sys/audit/a", enable(folder / "a.log")),
        ("GET", "sys/audit", None),
        ("PUT", "sys/audit-hash/a", {"input": "x"}),
        ("PUT", "sys/config/auditing/request-headers/x-a", {}),
    ]
    for method, path, body in asked:
        assert guarded.ask(method, path, body, namespace="team").status in (400, 404), path
    assert list(folder.iterdir()) == []


def test_hashing_is_limited_so_that_values_cannot_be_tried_at_speed(guarded, folder):
    guarded.done("PUT", "sys/audit/a", enable(folder / "a.log"))
    # More than both workers' buckets hold, on one connection and so on one worker.
    answers = [guarded.ask("PUT", "sys/audit-hash/a", {"input": str(n)}).status for n in range(150)]
    assert set(answers) == {200, 429}


def test_chosen_headers_are_recorded_hashed_or_in_clear(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/a", enable(log))
    guarded.done("PUT", "sys/config/auditing/request-headers/X-Team", {"hmac": True})
    guarded.done("PUT", "sys/config/auditing/request-headers/X-Run", {})
    guarded.done("PUT", "sys/config/auditing/request-headers/X-Gone", {})
    guarded.done("DELETE", "sys/config/auditing/request-headers/x-gone")
    assert guarded.data("GET", "sys/config/auditing/request-headers") == {
        "headers": {"x-run": {"hmac": False}, "x-team": {"hmac": True}}
    }
    assert guarded.data("GET", "sys/config/auditing/request-headers/X-Team") == {"X-Team": {"hmac": True}}
    absent = guarded.ask("GET", "sys/config/auditing/request-headers/x-gone")
    assert absent.body["errors"] == ["Could not find header in config"]
    sent = {"X-Vault-Token": guarded.token, "X-Team": "blue", "X-Run": "42", "X-Gone": "no"}
    assert guarded._client.send("GET", "/v1/sys/mounts", sent, None).status == 200
    recorded = [line["request"].get("headers") for line in lines(log) if line["type"] == "request"][-1]
    assert recorded["x-run"] == ["42"]
    assert recorded["x-team"][0].startswith("hmac-sha256:")
    assert set(recorded) == {"x-run", "x-team"}


def test_a_header_that_carries_a_credential_is_never_recorded_in_clear(guarded):
    for name in ("X-Vault-Token", "Authorization", "Cookie"):
        assert guarded.ask("PUT", f"sys/config/auditing/request-headers/{name}", {}).status == 400
        guarded.done("PUT", f"sys/config/auditing/request-headers/{name}", {"hmac": True})


def test_devices_and_chosen_headers_survive_a_restart(guarded, folder):
    log = folder / "a.log"
    guarded.done("PUT", "sys/audit/a", enable(log))
    guarded.done("PUT", "sys/config/auditing/request-headers/X-Run", {})
    before = guarded.data("GET", "sys/audit/a")
    guarded.restart()
    assert guarded.data("GET", "sys/audit/a") == before
    sent = {"X-Vault-Token": guarded.token, "X-Run": "after"}
    assert guarded._client.send("GET", "/v1/sys/mounts", sent, None).status == 200
    assert [line for line in lines(log) if line.get("request", {}).get("headers") == {"x-run": ["after"]}]
