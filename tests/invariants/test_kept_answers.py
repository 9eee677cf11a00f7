"""Answers that are kept from request to request: never told to anybody once they are no longer true.

Each is asked for three times before the change, so that what was made of it is kept, on every worker.
"""

from __future__ import annotations

import json
import time

import pytest

from tests.invariants.node import Line, Node


@pytest.fixture(scope="module")
def lines(node: Node) -> list[Line]:
    return node.spread()


def warm(lines: list[Line], path: str, **more) -> None:
    for line in lines:
        for _ in range(3):
            assert line.ok("GET", path, **more).status == 200


def told(lines: list[Line], path: str, **more) -> list:
    """What each line is told, the same by all."""
    answers = [line.call("GET", path, **more) for line in lines]
    assert (
        len({(answer.status, json.dumps(answer.body.get("data"), sort_keys=True)) for answer in answers}) == 1
    )
    return answers[0].body.get("data")


def audited(node: Node, path: str) -> dict:
    """The data of the last answer to a read of ``path``, as the log has it."""
    for text in reversed(node.audit_log.read_text().splitlines()):
        record = json.loads(text)
        if record["type"] == "response" and record["request"]["path"] == path:
            return record["response"]["data"]
    raise AssertionError(f"no record of {path}")


def hashed(node: Node, text: str) -> str:
    return node.ok("POST", "sys/audit-hash/main", {"input": text}).data["hash"]


def test_a_secret_reads_as_it_was_written_last(node, lines, fresh):
    node.kv(fresh)
    for number in range(1, 4):
        node.ok("POST", f"{fresh}/data/x", {"data": {"n": number, "deep": {"list": ["a", number]}}})
        warm(lines, f"{fresh}/data/x")
        found = told(lines, f"{fresh}/data/x")
        assert found["data"] == {"n": number, "deep": {"list": ["a", number]}}
        assert found["metadata"]["version"] == number
        assert told(lines, f"{fresh}/data/x?version=1")["data"]["n"] == 1


def test_metadata_written_later_is_in_the_next_answer(node, lines, fresh):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/x", {"data": {"n": 1}})
    warm(lines, f"{fresh}/data/x")
    node.ok("POST", f"{fresh}/metadata/x", {"custom_metadata": {"owner": "us"}})
    assert told(lines, f"{fresh}/data/x")["metadata"]["custom_metadata"] == {"owner": "us"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "data/x", None),
        ("PUT", "destroy/x", {"versions": [1]}),
        ("DELETE", "metadata/x", None),
    ],
    ids=["deleted", "destroyed", "forgotten"],
)
def test_what_is_gone_is_gone_for_all(node, lines, fresh, method, path, body):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/x", {"data": {"n": 1}})
    warm(lines, f"{fresh}/data/x")
    node.ok(method, f"{fresh}/{path}", body)
    assert {line.call("GET", f"{fresh}/data/x").status for line in lines} == {404}


def test_a_plain_entry_reads_as_it_was_written_last(node, lines, fresh):
    node.kv(fresh, version=1)
    for number in (1, 2):
        node.ok("POST", f"{fresh}/x", {"n": number, "ttl": "1h"})
        warm(lines, f"{fresh}/x")
        assert told(lines, f"{fresh}/x") == {"n": number, "ttl": "1h"}


def test_the_log_hashes_a_kept_answer_like_any_other(node, lines, fresh):
    node.kv(fresh)
    value = {"user": "app", "list": ["one", None, True], "deep": {"pin": 1234}}
    node.ok("POST", f"{fresh}/data/x", {"data": value})
    seen = []
    for _ in range(4):
        lines[0].ok("GET", f"{fresh}/data/x")
        seen.append(audited(node, f"{fresh}/data/x"))
    assert seen[1:] == seen[:-1]
    assert seen[0]["data"]["user"] == hashed(node, "app")
    assert seen[0]["data"]["list"][0] == hashed(node, "one")
    assert seen[0]["data"]["deep"].keys() == {"pin"}
    assert seen[0]["data"]["deep"]["pin"].startswith("hmac-sha256:")


def test_keys_tuned_to_be_read_in_the_log_show_at_once_and_only_as_long(node, lines, fresh):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/x", {"data": {"user": "app", "password": "p"}})
    warm(lines, f"{fresh}/data/x")
    clear, hidden, password = "app", hashed(node, "app"), hashed(node, "p")
    for keys, shown in ((["user"], clear), ([], hidden)):
        node.ok("POST", f"sys/mounts/{fresh}/tune", {"audit_non_hmac_response_keys": keys})
        for line in lines:
            for _ in range(3):
                line.ok("GET", f"{fresh}/data/x")
                data = audited(node, f"{fresh}/data/x")["data"]
                assert data == {"user": shown, "password": password}


def test_each_device_has_its_own_hashes(begin):
    node = begin(unsafe_allow_api_audit_creation=True)
    other = node.folder / "other.log"
    node.ok("PUT", "sys/audit/other", {"type": "file", "options": {"file_path": str(other)}})
    node.kv("kv")
    node.ok("POST", "kv/data/x", {"data": {"user": "app"}})
    for _ in range(4):
        node.ok("GET", "kv/data/x")
    logs = [node.audit_log.read_text(), other.read_text()]
    texts = [
        {
            record["response"]["data"]["data"]["user"]
            for record in map(json.loads, log.splitlines())
            if record["type"] == "response" and record["request"]["operation"] == "read"
        }
        for log in logs
    ]
    assert all(len(found) == 1 for found in texts)
    assert texts[0] != texts[1]


def test_a_token_is_told_of_its_renewal_at_once(node, lines, fresh):
    node.policy(fresh, 'path "secret/*" { capabilities = ["read"] }')
    token = node.mint(fresh, "default", ttl="1h", explicit_max_ttl="2h")
    warm(lines, "auth/token/lookup-self", token=token)
    node.ok("POST", "auth/token/renew-self", {"increment": "90m"}, token=token)
    for line in lines:
        found = line.ok("GET", "auth/token/lookup-self", token=token).data
        assert 3600 < found["ttl"] <= 5400
        assert found["last_renewal"]


def test_a_token_is_told_its_seconds_as_they_go_by(node, lines):
    token = node.mint("default", ttl="1h")
    first = [
        line.ok("GET", "auth/token/lookup-self", token=token).data["ttl"] for line in lines for _ in range(3)
    ]
    time.sleep(1.1)
    later = [line.ok("GET", "auth/token/lookup-self", token=token).data["ttl"] for line in lines]
    assert max(later) < max(first)


def test_a_token_is_told_of_policies_that_come_by_its_entity(node, lines, fresh):
    node.ok("POST", f"sys/auth/{fresh}", {"type": "userpass"})
    node.ok("POST", f"auth/{fresh}/users/ann", {"password": "correct horse"})
    made = node.ok("POST", f"auth/{fresh}/login/ann", {"password": "correct horse"}, token="").body["auth"]
    warm(lines, "auth/token/lookup-self", token=made["client_token"])
    node.ok("POST", f"identity/entity/id/{made['entity_id']}", {"policies": [fresh]})
    for line in lines:
        found = line.ok("GET", "auth/token/lookup-self", token=made["client_token"]).data
        assert found["identity_policies"] == [fresh]


def test_an_orphan_is_told_that_it_became_one(node, lines):
    parent = node.mint("root")
    child = node.ok("POST", "auth/token/create", {"policies": ["default"]}, token=parent).body["auth"][
        "client_token"
    ]
    warm(lines, "auth/token/lookup-self", token=child)
    node.ok("POST", "auth/token/revoke-orphan", {"token": parent})
    for line in lines:
        assert line.ok("GET", "auth/token/lookup-self", token=child).data["orphan"] is True


def test_a_revoked_token_is_told_nothing(node, lines):
    token = node.mint("default")
    warm(lines, "auth/token/lookup-self", token=token)
    node.ok("POST", "auth/token/revoke", {"token": token})
    assert {line.call("GET", "auth/token/lookup-self", token=token).status for line in lines} == {403}


def test_a_limited_token_is_told_its_uses_one_by_one(node):
    token = node.mint("default", num_uses=4)
    left = [node.ok("GET", "auth/token/lookup-self", token=token).data["num_uses"] for _ in range(3)]
    assert left == [3, 2, 1]
