"""Whole stories over HTTP, as the people in them would live them."""

from __future__ import annotations

import json
import threading

import pytest

from tests.fixtures.servers import config_server
from tests.invariants.node import Line, Node, eventually


@pytest.fixture
def server(tmp_path):
    """A server that nobody has initialised yet, with an audit log, on three workers."""
    audit = {"file": {"main": {"options": {"file_path": str(tmp_path / "audit.log")}}}}
    storage: dict[str, object] = {"sqlite": {"path": str(tmp_path / "data")}}
    made = config_server("broker", tmp_path / "node", "node", storage, workers=3, audit=audit)
    yield made
    made.stop()


@pytest.fixture
def lines(server):
    """Make connections; all are closed at the end."""
    made: list[Line] = []

    def connect(token: str = "", namespace: str = "") -> Line:
        made.append(Line(server.address, token, namespace))
        return made[-1]

    yield connect
    for line in made:
        line.close()


def records(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_an_empty_machine_to_a_serving_team_and_through_a_power_cut(server, lines, tmp_path):
    operator = lines()
    assert operator.call("GET", "sys/health").status == 501
    made = operator.ok("PUT", "sys/init", {"secret_shares": 5, "secret_threshold": 3}).body
    assert operator.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).status == 400
    # Three custodians, each on a connection (and so perhaps a worker) of their own, each in the form they were given.
    for share in (made["keys"][0], made["keys_base64"][2], made["keys_mnemonic"][4]):
        status = lines().ok("PUT", "sys/unseal", {"key": share}).body
    assert status["sealed"] is False
    root = lines(made["root_token"])
    root.ok("PUT", "sys/namespaces/team")
    admin = lines(made["root_token"], "team")
    admin.ok("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    admin.ok(
        "PUT", "sys/policies/acl/app", {"policy": 'path "secret/data/app/*" { capabilities = ["read"] }'}
    )
    admin.ok("POST", "secret/data/app/db", {"data": {"password": "first"}})
    token = admin.ok("POST", "auth/token/create", {"policies": ["app"], "ttl": "1h"}).body["auth"][
        "client_token"
    ]
    app = lines(token, "team")
    assert app.ok("GET", "secret/data/app/db").data["data"] == {"password": "first"}
    assert app.call("POST", "secret/data/app/db", {"data": {"password": "mine"}}).status == 403
    root.ok("POST", "auth/token/revoke-self")
    assert root.call("GET", "sys/mounts").status == 403

    server.kill()  # the power cut
    for line in (operator, app):
        line.close()
    server.start()
    assert operator.call("GET", "sys/health").status == 503
    for share in made["keys"][1:4]:
        status = operator.ok("PUT", "sys/unseal", {"key": share}).body
    assert status["sealed"] is False
    assert app.ok("GET", "secret/data/app/db").data["data"] == {"password": "first"}
    told = [
        entry
        for entry in records(tmp_path / "audit.log")
        if entry.get("request", {}).get("path") == "secret/data/app/db"
    ]
    assert len(told) == 8 and "first" not in json.dumps(told)  # two lines for each of four requests


def test_a_leaked_token_is_found_out_cut_off_and_explained(server, lines, tmp_path):
    made = lines().ok("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).body
    lines().ok("PUT", "sys/unseal", {"key": made["keys"][0]})
    root = lines(made["root_token"])
    root.ok("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    root.ok("POST", "secret/data/db", {"data": {"password": "p1"}})
    rules = (
        'path "secret/data/*" { capabilities = ["read"] }\n'
        'path "secret/data/payroll" { capabilities = ["deny"] }\n'
        'path "auth/token/create" { capabilities = ["update"] }'
    )
    root.ok("PUT", "sys/policies/acl/ci", {"policy": rules})
    ci = root.ok("POST", "auth/token/create", {"policies": ["ci"]}).body["auth"]
    thief = lines(ci["client_token"])
    thief.ok("GET", "secret/data/db")
    child = thief.ok("POST", "auth/token/create", {"policies": ["ci"]}).body["auth"]["client_token"]
    grandchild = (
        lines(child).ok("POST", "auth/token/create", {"policies": ["ci"]}).body["auth"]["client_token"]
    )
    assert thief.call("GET", "secret/data/payroll").status == 403

    # Somebody finds the token in a build log. What has it done? The audit log knows its hash only.
    hashed = root.ok("POST", "sys/audit-hash/main", {"input": ci["client_token"]}).data["hash"]
    done = [
        (entry["request"]["operation"], entry["request"]["path"], "error" in entry)
        for entry in records(tmp_path / "audit.log")
        if entry["type"] == "response" and entry["request"].get("client_token") == hashed
    ]
    assert done == [
        ("read", "secret/data/db", False),
        ("update", "auth/token/create", False),
        ("read", "secret/data/payroll", True),
    ]
    # Why was the last one refused?
    asked = {"token": ci["client_token"], "operation": "read", "path": "secret/data/payroll"}
    why = root.ok("POST", "sys/policies/explain", asked).data
    assert (why["allowed"], why["policy"], why["line"]) == (False, "ci", 2)
    # Cut off the token and all that it made, on every worker, with one request.
    root.ok("POST", "auth/token/revoke-accessor", {"accessor": ci["accessor"]})
    for _ in range(12):
        for token in (ci["client_token"], child, grandchild):
            assert lines(token).call("GET", "secret/data/db").status == 403
    # And what it has read is replaced, the old version destroyed.
    root.ok("POST", "secret/data/db", {"data": {"password": "p2"}})
    root.ok("PUT", "secret/destroy/db", {"versions": [1]})
    assert root.call("GET", "secret/data/db?version=1").status == 404
    assert root.ok("GET", "secret/data/db").data["data"] == {"password": "p2"}


def test_keys_rotate_and_shares_change_hands_while_the_service_goes_on(tmp_path):
    node = Node.begin(tmp_path, workers=2)
    stop, served, failed = threading.Event(), [], []
    try:
        node.kv("secret")
        node.ok("POST", "secret/data/a", {"data": {"n": -1}})

        def work(line: Line) -> None:
            number = 0
            while not stop.is_set():
                for reply in (
                    line.call("POST", "secret/data/a", {"data": {"n": number}}),
                    line.call("GET", "secret/data/a"),
                ):
                    (served if reply.status == 200 else failed).append(reply)
                number += 1

        threads = [threading.Thread(target=work, args=(node.line(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        before = node.ok("GET", "sys/key-status").data["term"]
        for _ in range(3):
            count = len(served)
            node.ok("PUT", "sys/rotate")
            eventually(lambda count=count: len(served) > count + 20)
        assert node.ok("GET", "sys/key-status").data["term"] == before + 3
        nonce = node.ok("PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2}).body["nonce"]
        made = node.ok("PUT", "sys/rekey/update", {"key": node.share, "nonce": nonce}).body
        assert made["complete"] is True
        stop.set()
        for thread in threads:
            thread.join(30)
        assert failed == []
        last = node.ok("GET", "secret/data/a").data["data"]
        node.server.kill()
        node.close()
        node.server.start()
        assert node.call("PUT", "sys/unseal", {"key": node.share}, token="").body.get("sealed", True) is True
        node.call("PUT", "sys/unseal", {"reset": True}, token="")
        for share in made["keys"][:2]:
            status = node.call("PUT", "sys/unseal", {"key": share}, token="").body
        assert status["sealed"] is False
        assert node.ok("GET", "secret/data/a").data["data"] == last
    finally:
        stop.set()
        node.end()
