"""Diagnostic surfaces on a real node of three workers: complete, bounded, and silent about secrets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.core.system.conftest import Api
from tests.peer.client import Client


@pytest.fixture
def own(node: Callable[..., Api]) -> Api:
    return node(workers=3)


class Reader:
    """A client of ``sys/monitor``; ``until`` reads on until a text has come."""

    def __init__(self, api: Api, query: str = "", token: str = "") -> None:
        self._connection = http.client.HTTPConnection(urlsplit(api.server.address).netloc, timeout=20)
        self._connection.request(
            "GET", f"/v1/sys/monitor{query}", headers={"X-Vault-Token": token or api.token}
        )
        self.answer = self._connection.getresponse()
        self.got = ""

    def until(self, text: str, times: int = 1) -> str:
        while self.got.count(text) < times:
            line = self.answer.readline()
            assert line, f"ended without {text!r}: {self.got}"
            self.got += line.decode()
        return self.got

    def rest(self) -> bytes:
        return self.answer.read()

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def reload(api: Api) -> None:
    """Have every worker log a line."""
    os.kill(api.server.pid, signal.SIGHUP)


@contextmanager
def reloading(api: Api) -> Iterator[None]:
    """Have every worker log a line again and again."""
    done = threading.Event()

    def again() -> None:
        while not done.wait(0.2):
            reload(api)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def hear_from_all(api: Api, reader: Reader) -> str:
    """Read until each worker has logged something from now on: a second line of it, the first may be older."""
    known = [reader.got.count(f"worker {number} reloaded") for number in range(3)]
    with reloading(api):
        for number, count in enumerate(known):
            text = reader.until(f"worker {number} reloaded", count + 2)
    return text


def lines_of_all_workers(api: Api) -> list[http.client.HTTPConnection]:
    """A dozen connections, which the workers share evenly."""
    made = []
    for _ in range(12):
        connection = http.client.HTTPConnection(urlsplit(api.server.address).netloc, timeout=20)
        connection.request("GET", "/v1/sys/health")
        connection.getresponse().read()
        made.append(connection)
    return made


# The log


def test_readers_are_told_what_any_worker_logs(own: Api):
    reader = Reader(own, "?log_level=info")
    assert (reader.answer.status, reader.answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    with reloading(own):  # until every worker knows of the reader: its answer may begin before
        for number in range(3):
            text = reader.until(f"worker {number} reloaded")
    assert "[INFO] broker.server: worker 0 reloaded" in text
    reader.close()


def test_json_lines_are_json(own: Api):
    reader = Reader(own, "?log_format=json")
    with reloading(own):
        line = json.loads(reader.until("reloaded").splitlines()[-1])
    assert (line["@level"], line["@module"]) == ("info", "broker.server")
    reader.close()


@pytest.mark.parametrize("query", ["?log_level=notices", "?log_format=xml", "?other=1"])
def test_a_reader_that_asks_for_what_is_not_there_is_told(api: Api, query: str):
    assert api.ask("GET", f"sys/monitor{query}").status == 400


def test_reading_ends_when_the_token_is_revoked(own: Api):
    token = own.token_with('path "sys/monitor" { capabilities = ["read"] }')
    reader = Reader(own, token=token)
    own.done("POST", "auth/token/revoke", {"token": token})
    reader.rest()
    reader.close()


def test_reading_ends_when_the_node_is_sealed(own: Api):
    reader = Reader(own)
    own.done("PUT", "sys/seal")
    reader.rest()
    reader.close()


def test_a_server_that_stops_does_not_wait_for_readers(own: Api):
    reader = Reader(own)
    began = time.monotonic()
    own.server.stop()
    assert time.monotonic() - began < 20
    reader.rest()
    reader.close()


def test_whoever_leaves_makes_room_though_nothing_is_logged(node: Callable[..., Api]):
    """A place that is freed only by the next line of the log is never freed on a quiet node."""
    api = node(workers=1)

    def opened() -> list[Reader]:
        """Readers until there are as many as may be; the last is refused."""
        readers = [Reader(api)]
        while readers[-1].answer.status == 200:
            readers.append(Reader(api))
        return readers

    first = opened()
    assert first[-1].answer.status == 429
    for reader in first:
        reader.close()
    again: list[Reader] = []

    def served() -> bool:
        again.append(Reader(api))
        return again[-1].answer.status == 200

    eventually(served)
    for reader in again:
        reader.close()


def test_fifty_readers_at_once_are_all_answered_and_nobody_else_waits_for_them(own: Api):
    with ThreadPoolExecutor(50) as pool:
        readers = list(pool.map(lambda _: Reader(own), range(50)))
    assert {reader.answer.status for reader in readers} <= {200, 429}
    served = [reader for reader in readers if reader.answer.status == 200]
    assert len(served) >= 8  # of each worker that was asked
    with reloading(own):
        for reader in served:
            reader.until("worker 2 reloaded")
    for reader in readers:
        reader.close()


def test_no_secret_is_ever_in_the_log_that_readers_see(own: Api):
    reader = Reader(own, "?log_level=trace")
    hear_from_all(own, reader)
    secret = "sesame-open-1234"
    own.done("POST", "sys/mounts/kv", {"type": "kv"})
    own.done("PUT", "kv/a", {"x": secret})
    own.ask("PUT", "kv/a", {"x": secret}, token=secret)
    own.ask("PUT", "sys/mounts/x", {"type": secret})
    text = hear_from_all(own, reader)
    assert secret not in text
    assert own.token not in text
    reader.close()


# Levels


def test_a_level_holds_in_every_worker_until_it_is_taken_back(own: Api):
    own.done("POST", "sys/loggers", {"level": "error"})
    lines = lines_of_all_workers(own)

    def levels(name: str = "core") -> set[str]:
        found = set()
        for connection in lines:
            connection.request("GET", "/v1/sys/loggers", headers={"X-Vault-Token": own.token})
            found.add(json.loads(connection.getresponse().read())["data"][name])
        return found

    assert levels() == {"error"}
    own.done("POST", "sys/loggers/core", {"level": "Trace"})
    assert (levels(), levels("http")) == ({"trace"}, {"error"})
    own.done("DELETE", "sys/loggers/core")
    assert levels() == {"error"}
    own.done("DELETE", "sys/loggers")
    assert levels() == {"info"}
    for connection in lines:
        connection.close()


def test_what_is_set_acts_on_the_log(own: Api):
    own.done("POST", "sys/loggers", {"level": "error"})
    for connection in lines_of_all_workers(own):  # whoever is asked for its levels has heard of them
        connection.request("GET", "/v1/sys/loggers", headers={"X-Vault-Token": own.token})
        connection.getresponse().read()
        connection.close()
    reader = Reader(own)
    with reloading(own):  # readers have levels of their own, of which the other workers hear in a moment
        for worker in range(3):
            reader.until(f"worker {worker} reloaded")
    reader.close()
    assert "reloaded" not in own.server.log_path.read_text()
    own.done("DELETE", "sys/loggers")
    reload(own)
    eventually(lambda: "reloaded" in own.server.log_path.read_text())


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "sys/loggers", {}, "level is required"),
        ("POST", "sys/loggers", {"level": "bogus"}, "unknown log level: bogus"),
        ("POST", "sys/loggers/core", {"level": "bogus"}, "unknown log level: bogus"),
        ("POST", "sys/loggers/nobody", {"level": "info"}, 'logger "nobody" not found'),
        ("DELETE", "sys/loggers/nobody", None, 'logger "nobody" not found'),
    ],
)
def test_levels_and_loggers_that_are_not_there_are_refused(
    api: Api, method: str, path: str, body: object, says: str
):
    reply = api.ask(method, path, body)
    assert (reply.status, says in reply.body["errors"][0]) == (400, True), reply


# Requests under way


def test_requests_of_all_workers_are_shown_and_nothing_secret_of_them(own: Api):
    shown = own.ask("GET", "sys/in-flight-req")
    assert shown.status == 200
    (one,) = shown.body.values()
    assert one["request_path"] == "/v1/sys/in-flight-req"
    assert (one["request_method"], one["client_remote_address"].rpartition(":")[0]) == ("GET", "127.0.0.1")
    assert own.token not in json.dumps(shown.body)


def test_a_request_that_waits_is_seen_whichever_worker_has_it(own: Api):
    split = urlsplit(own.server.address)
    waiting = []
    for number in range(6):  # the head is there, the body is not
        sock = socket.create_connection((split.hostname, split.port))
        head = f"PUT /v1/cubbyhole/waits HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {own.token}\r\n"
        sock.sendall(f'{head}Content-Length: 900\r\n\r\n{{"x": "hidden-{number}"'.encode())
        waiting.append(sock)

    def seen() -> bool:
        shown = own.ask("GET", "sys/in-flight-req").body
        assert "hidden" not in json.dumps(shown)
        return [one["request_path"] for one in shown.values()].count("/v1/cubbyhole/waits") == 6

    eventually(seen)
    for sock in waiting:
        sock.close()
    eventually(lambda: len(own.ask("GET", "sys/in-flight-req").body) == 1)


# The machine and the configuration


def test_host_info_tells_of_the_machine(api: Api):
    data = api.data("GET", "sys/host-info")
    assert set(data) == {"timestamp", "cpu", "cpu_times", "disk", "host", "memory"}
    assert data["memory"]["total"] > data["memory"]["used"] > 0
    assert len(data["cpu_times"]) >= 1
    assert data["host"]["hostname"] == socket.gethostname()


def test_the_configuration_is_shown_without_the_settings_of_any_stanza(node: Callable[..., Api], tmp_path):
    log = tmp_path / "hidden-name.log"
    api = node(audit={"file": {"main": {"options": {"file_path": str(log)}}}}, cluster_name="shown")
    data = api.data("GET", "sys/config/state/sanitized")
    assert (data["cluster_name"], data["storage"], data["log_level"]) == ("shown", {"type": "sqlite"}, "info")
    assert data["seals"] == [{"type": "shamir", "disabled": False}]
    assert data["listeners"][0]["type"] == "tcp"
    assert "hidden-name" not in json.dumps(data)
    assert str(tmp_path) not in json.dumps(data)


@pytest.mark.parametrize(
    ("switch", "path"),
    [
        ("raw_storage_endpoint", "/v1/sys/raw/core"),
        ("introspection_endpoint", "/v1/sys/internal/inspect/router/root"),
        ("enable_ui", "/ui/"),
    ],
)
def test_what_the_server_does_not_have_is_shown_as_off(api: Api, switch: str, path: str):
    client = Client(api.server.address)
    reply = client.send("GET", path, {"X-Vault-Token": "root"}, None)
    client.close()
    assert reply.status == 404
    assert api.data("GET", "sys/config/state/sanitized")[switch] is False


@pytest.mark.parametrize(
    "path",
    ["sys/loggers", "sys/host-info", "sys/in-flight-req", "sys/config/state/sanitized", "sys/monitor"],
)
def test_tenants_see_none_of_it(own: Api, path: str):
    own.done("PUT", "sys/namespaces/tenant", {})
    assert own.ask("GET", path, namespace="tenant").status == 400
    assert own.ask("GET", path, token="").status == 403
    assert own.ask("GET", path, token=own.token_with('path "kv/*" { capabilities = ["read"] }')).status == 403
