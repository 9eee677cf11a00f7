"""What a listener's stanza says is what its clients meet: one real server with a listener for each rule."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.servers import BIN, RunningServer, free_port

LISTENERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "guarded": {"require_request_header": True},
    "small": {"max_request_size": 1000, "max_request_json_strings": 10},
    "frugal": {"max_request_json_memory": 2000},
    "quick": {"max_request_duration": "500ms"},
    "silent": {"redact_version": True, "redact_cluster_name": True, "redact_addresses": True},
    "proxied": {"x_forwarded_for_authorized_addrs": "127.0.0.0/8", "x_forwarded_for_hop_skips": 1},
    "lenient": {
        "x_forwarded_for_authorized_addrs": ["127.0.0.1"],
        "x_forwarded_for_reject_not_present": False,
    },
    "foreign": {"x_forwarded_for_authorized_addrs": "10.0.0.0/8, 2001:db8::/32"},
    "deaf": {
        "x_forwarded_for_authorized_addrs": "10.0.0.0/8",
        "x_forwarded_for_reject_not_authorized": False,
        "x_forwarded_for_reject_not_present": False,
    },
    "web": {
        "cors_enabled": True,
        "cors_allowed_origins": ["https://a.example", "https://b.example:8443"],
        "cors_allowed_headers": ["X-Team"],
        "require_request_header": True,
    },
    "labelled": {
        "custom_response_headers": {
            "default": {
                "X-One": ["a", "b"],
                "X-Two": ["any"],
                "X-Vault-Three": ["no"],
                "Cache-Control": ["public"],
            },
            "4xx": {"X-Two": ["refused"]},
            "405": {"X-Two": ["odd"]},
        }
    },
    "open": {"disable_unauthed_rekey_endpoints": False},
}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> str:
        return self.body["errors"][0]


@dataclass
class Node:
    """The server, unsealed; ``audit`` is the path of its audit log."""

    server: RunningServer
    ports: dict[str, int]
    audit: Path
    root: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def call(
        self, listener: str, method: str, path: str, body: Any = None, headers: Any = (), token: bool = True
    ) -> Answer:
        """One request on a fresh connection. ``headers`` are pairs, so that one may come twice."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[listener], timeout=30)) as line:
            line.putrequest(method, path if path.startswith(("/", "*")) else f"/v1/{path}")
            if token and self.root:
                line.putheader("X-Vault-Token", self.root)
            for name, value in headers:
                line.putheader(name, value)
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            if data is not None:
                line.putheader("Content-Length", str(len(data)))
            line.endheaders(data)
            reply = line.getresponse()
            return Answer(reply.status, reply.headers, reply.read())

    def seen_from(self, listener: str, *headers: tuple[str, str]) -> str:
        """Make a request and return the address that the audit log has for it."""
        answer = self.call(listener, "GET", "auth/token/lookup-self", headers=headers)
        assert answer.status == 200, answer.raw
        wanted = answer.body["request_id"]
        for line in self.audit.read_text().splitlines():
            record = json.loads(line)
            if record.get("request", {}).get("id") == wanted:
                return record["request"]["remote_address"]
        raise AssertionError("the request is not in the audit log")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("listeners")
    ports = {name: free_port() for name in LISTENERS}
    config = {
        "listener": [
            {"tcp": {"address": f"127.0.0.1:{ports[name]}", "tls_disable": True, **options}}
            for name, options in LISTENERS.items()
        ],
        "storage": {"sqlite": {"path": str(folder / "data")}},
        "audit": {"file": {"main": {"options": {"file_path": str(folder / "audit.log")}}}},
        "enable_response_header_hostname": True,
        "workers": 2,
        "telemetry": {"disable_hostname": True},
    }
    path = folder / "broker.json"
    path.write_text(json.dumps(config))
    argv = [str(BIN / "broker"), "server", f"-config={path}"]
    server = RunningServer("listeners", argv, f"http://127.0.0.1:{ports['plain']}", folder).start()
    made = Node(server, ports, folder / "audit.log")
    try:
        keys = made.call("plain", "PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).body
        assert made.call("plain", "PUT", "sys/unseal", {"key": keys["keys"][0]}).body["sealed"] is False
        made.root = keys["root_token"]
        yield made
    finally:
        server.stop()


# Sizes


def test_a_body_over_the_listeners_size_is_refused_and_on_another_listener_taken(node):
    body = {"v": "x" * 2000}
    assert node.call("small", "POST", "cubbyhole/a", body).status == 413
    assert node.call("plain", "GET", "cubbyhole/a").status == 404
    assert node.call("plain", "POST", "cubbyhole/a", body).status == 204


def test_a_chunked_body_meets_the_same_limit(node):
    with closing(http.client.HTTPConnection("127.0.0.1", node.ports["small"], timeout=30)) as line:
        pieces = (b'{"v":"', b"x" * 900, b"x" * 900, b'"}')
        line.request(
            "POST", "/v1/cubbyhole/c", iter(pieces), {"X-Vault-Token": node.root}, encode_chunked=True
        )
        assert line.getresponse().status == 413


@pytest.mark.parametrize(("listener", "status"), [("small", 400), ("plain", 204)])
def test_too_many_strings_are_refused(node, listener, status):
    answer = node.call(listener, "POST", "cubbyhole/strings", {"v": ["x"] * 10})
    assert answer.status == status
    assert node.call("small", "POST", "cubbyhole/strings", {"v": ["x"] * 9}).status == 204


def test_quotes_inside_of_strings_are_not_strings(node):
    assert node.call("small", "POST", "cubbyhole/quotes", {"v": '"' * 100}).status == 204


def test_a_body_that_would_grow_too_large_is_refused(node):
    body = {"v": [0] * 40}
    assert "2000 bytes of memory" in node.call("frugal", "POST", "cubbyhole/grown", body).error
    assert node.call("plain", "POST", "cubbyhole/grown", body).status == 204


# Duration


def test_a_request_that_takes_too_long_is_answered_and_has_no_effect(node):
    with closing(socket.create_connection(("127.0.0.1", node.ports["quick"]), timeout=30)) as line:
        head = f"POST /v1/cubbyhole/late HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {node.root}\r\nContent-Length: 9\r\n\r\n"
        line.sendall(head.encode() + b'{"a":')
        reply = http.client.HTTPResponse(line)
        reply.begin()
        assert reply.status == 503
        assert "max_request_duration (0.5s)" in json.loads(reply.read())["errors"][0]
        assert reply.headers["x-request-id"]
    assert node.call("plain", "GET", "cubbyhole/late").status == 404
    assert node.call("quick", "GET", "auth/token/lookup-self").status == 200


# Proxies


@pytest.mark.parametrize(
    ("listener", "headers", "address"),
    [
        ("plain", [("X-Forwarded-For", "203.0.113.7")], "127.0.0.1"),
        ("proxied", [("X-Forwarded-For", "1.1.1.1, 203.0.113.7, 10.0.0.1")], "203.0.113.7"),
        ("proxied", [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "10.0.0.1")], "203.0.113.7"),
        ("proxied", [("X-Forwarded-For", "::ffff:203.0.113.7, 10.0.0.1:55")], "203.0.113.7"),
        ("proxied", [("X-Forwarded-For", ", ".join(f"203.0.113.{n}" for n in range(50)))], "203.0.113.48"),
        ("lenient", [], "127.0.0.1"),
        ("lenient", [("X-Forwarded-For", "junk, 2001:db8::7")], "2001:db8::7"),
        ("deaf", [("X-Forwarded-For", "203.0.113.7")], "127.0.0.1"),
        ("deaf", [("X-Forwarded-For", "junk")], "127.0.0.1"),
        ("deaf", [("Forwarded", "for=203.0.113.7"), ("X-Real-IP", "203.0.113.7")], "127.0.0.1"),
        ("lenient", [("Forwarded", "for=203.0.113.7"), ("X-Real-IP", "203.0.113.7")], "127.0.0.1"),
    ],
)
def test_the_audit_log_has_the_address_that_counts(node, listener, headers, address):
    assert node.seen_from(listener, *headers) == address


@pytest.mark.parametrize(
    ("listener", "headers", "reason"),
    [
        ("proxied", [], "missing x-forwarded-for"),
        ("proxied", [("X-Forwarded-For", "203.0.113.7")], "would skip before earliest"),
        ("proxied", [("X-Forwarded-For", "203.0.113.7, proxy")], "expected IP addresses"),
        ("lenient", [("X-Forwarded-For", "")], "expected IP addresses"),
        ("foreign", [("X-Forwarded-For", "10.0.0.1")], "not authorized for x-forwarded-for"),
        ("foreign", [], "missing x-forwarded-for"),
    ],
)
def test_chains_that_cannot_be_believed_are_refused(node, listener, headers, reason):
    answer = node.call(listener, "GET", "auth/token/lookup-self", headers=headers)
    assert (answer.status, reason in answer.error) == (400, True)


def test_no_header_makes_a_client_local(node):
    answer = node.call("lenient", "PUT", "sys/init", {}, headers=[("X-Forwarded-For", "203.0.113.7")])
    assert (answer.status, "loopback" in answer.error) == (400, True)


# What unauthenticated pages tell


@pytest.mark.parametrize("path", ["sys/health", "sys/seal-status", "sys/leader"])
def test_a_redacting_listener_hides_what_others_tell(node, path):
    hidden = {"version", "cluster_name", "leader_address", "leader_cluster_address"}
    silent = node.call("silent", "GET", path, token=False).body
    plain = node.call("plain", "GET", path, token=False).body
    assert {silent[name] for name in hidden & silent.keys()} == {""}
    assert silent.keys() == plain.keys()
    if path != "sys/leader":
        assert plain["version"]
        assert plain["cluster_name"]


# Who may ask at all


@pytest.mark.parametrize("headers", [[], [("X-Vault-Request", "false")], [("X-Vault-Request", "true")] * 2])
def test_without_the_request_header_nothing_is_served(node, headers):
    for path in ("sys/health", "auth/token/lookup-self"):
        answer = node.call("guarded", "GET", path, headers=headers)
        assert (answer.status, answer.error) == (412, "missing 'X-Vault-Request' header")
    assert node.call("guarded", "GET", "sys/health", headers=[("X-Vault-Request", "true")]).status == 200


def test_a_listed_origin_is_told_what_it_may_send(node):
    origin = ("Origin", "https://b.example:8443")
    asked = [origin, ("Access-Control-Request-Method", "LIST"), ("Access-Control-Request-Headers", "x-team")]
    answer = node.call("web", "OPTIONS", "cubbyhole/", headers=asked, token=False)
    assert (answer.status, answer.raw) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == origin[1]
    assert "LIST" in answer.headers["access-control-allow-methods"].split(",")
    assert {"X-Team", "X-Vault-Token"} <= set(answer.headers["access-control-allow-headers"].split(","))
    assert answer.headers["access-control-max-age"] == "300"
    served = node.call("web", "GET", "auth/token/lookup-self", headers=[origin, ("X-Vault-Request", "true")])
    assert (served.status, served.headers["access-control-allow-origin"]) == (200, origin[1])
    assert served.headers["vary"] == "Origin"


def test_a_listed_origin_sees_why_it_was_refused(node):
    headers = [("Origin", "https://a.example"), ("X-Vault-Request", "true")]
    answer = node.call("web", "GET", "cubbyhole/none", headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (404, "https://a.example")


NEARLY = """
    https://c.example http://a.example https://a.example.evil https://A.example https://a.example/ https://b.example null *
"""


@pytest.mark.parametrize("origin", NEARLY.split())
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_an_origin_that_is_nearly_listed_is_refused(node, origin, method):
    headers = [("Origin", origin), ("X-Vault-Request", "true")]
    answer = node.call("web", method, "cubbyhole/x", headers=headers)
    assert (answer.status, answer.error) == (403, "origin not allowed")
    assert "access-control-allow-origin" not in answer.headers


def test_a_listed_origin_needs_the_request_header_too(node):
    answer = node.call("web", "GET", "cubbyhole/none", headers=[("Origin", "https://a.example")])
    assert answer.status == 412


def test_an_unknown_verb_is_not_granted(node):
    asked = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "BREW")]
    assert node.call("web", "OPTIONS", "cubbyhole/x", headers=asked).status == 405


def test_without_cors_origins_mean_nothing(node):
    answer = node.call("plain", "GET", "auth/token/lookup-self", headers=[("Origin", "https://a.example")])
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


# Ceremonies


def test_a_ceremony_opened_on_one_listener_is_not_open_on_the_others(node):
    assert node.call("open", "GET", "sys/rekey/init", token=False).status == 200
    for token in (False, True):
        answer = node.call("plain", "GET", "sys/rekey/init", token=token)
        assert (answer.status, answer.error) == (403, "this ceremony is served on another listener")
    assert node.call("plain", "GET", "sys/generate-root/attempt", token=False).status == 403


# Headers of answers


@pytest.mark.parametrize(
    ("method", "path", "status", "two"),
    [
        ("GET", "sys/health", 200, "any"),
        ("GET", "cubbyhole/none", 404, "refused"),
        ("BREW", "cubbyhole/none", 405, "odd"),
        ("GET", "/", 404, "refused"),
        ("GET", "/other", 404, "refused"),
    ],
)
def test_answers_carry_the_configured_headers_of_their_status(node, method, path, status, two):
    answer = node.call("labelled", method, path)
    assert answer.status == status
    assert (answer.headers["x-one"], answer.headers["x-two"]) == ("a; b", two)
    assert answer.headers.get_all("cache-control") == ["no-store"]
    assert "x-vault-three" not in answer.headers


def test_answers_name_the_host(node):
    for path in ("sys/health", "cubbyhole/none", "/"):
        assert node.call("plain", "GET", path).headers["x-vault-hostname"] == os.uname().nodename


def test_a_refused_request_is_named(node):
    made = node.call("plain", "POST", "auth/token/create", {"policies": ["default"]}).body
    header = [("X-Vault-Token", made["auth"]["client_token"])]
    refused = node.call("plain", "GET", "sys/mounts", headers=header, token=False)
    assert refused.status == 403
    asked = {"request_id": refused.headers["x-request-id"]}
    why = node.call("plain", "POST", "sys/policies/explain", asked, headers=header, token=False)
    assert (why.status, why.body["data"]["path"]) == (200, "sys/mounts")


def test_an_answer_without_error_is_not_named_twice(node):
    answer = node.call("plain", "GET", "auth/token/lookup-self")
    assert (answer.status, answer.headers["x-request-id"]) == (200, None)


# Verbs


@pytest.mark.parametrize("path", ["sys/health", "sys/mounts", "cubbyhole/a", "/v1/"])
@pytest.mark.parametrize("verb", ["OPTIONS", "TRACE", "BREW", "PROPFIND"])
def test_other_verbs_are_405(node, verb, path):
    answer = node.call("plain", verb, path)
    assert answer.status == 405
    assert "errors" in answer.body


def test_head_tells_the_status_and_nothing_else(node):
    for path, status in (("sys/health", 200), ("sys/mounts", 405), ("/other", 404)):
        with closing(socket.create_connection(("127.0.0.1", node.ports["plain"]), timeout=30)) as line:
            target = path if path.startswith("/") else f"/v1/{path}"
            line.sendall(f"HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            everything = b"".join(iter(lambda: line.recv(65536), b""))
        head, _, rest = everything.partition(b"\r\n\r\n")
        assert (head.split(b" ")[1], rest) == (str(status).encode(), b"")
        assert b"content-type: application/json" in head


@pytest.mark.parametrize(
    "line", ["CONNECT example.com:443", "CONNECT /v1/sys/health", "OPTIONS *", "TRACE /", "BREW /"]
)
def test_verbs_for_proxies_are_405(node, line):
    method, target = line.split()
    with closing(socket.create_connection(("127.0.0.1", node.ports["plain"]), timeout=30)) as wire:
        wire.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        everything = b"".join(iter(lambda: wire.recv(65536), b""))
    assert everything.split(b" ")[1] == b"405"


@pytest.mark.parametrize("prefix", ["http://broker.example", "HTTP://x:8200", "https://u@[::1]:1"])
def test_a_target_with_a_host_in_it_is_the_path_behind(node, prefix):
    with closing(socket.create_connection(("127.0.0.1", node.ports["plain"]), timeout=30)) as wire:
        wire.sendall(f"GET {prefix}/v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        everything = b"".join(iter(lambda: wire.recv(65536), b""))
    assert everything.split(b" ")[1] == b"200"


# Start-up


def test_what_has_no_effect_is_named_at_start_up(node):
    named = next(
        line for line in node.server.log_path.read_text().splitlines() if "Without effect here" in line
    )
    for key in (
        "telemetry",
        "custom_response_headers X-Vault-Three",
        "custom_response_headers Cache-Control",
    ):
        assert key in named


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"x_forwarded_for_authorized_addrs": "10.0.0.0/33"},
            "x_forwarded_for_authorized_addrs to be IP networks",
        ),
        ({"custom_response_headers": {"default": {"X One": ["a"]}}}, "fit for an HTTP header"),
        ({"custom_response_headers": {"default": {"X-One": ["a\r\nX-Two: b"]}}}, "fit for an HTTP header"),
        ({"custom_response_headers": {"sometimes": {"X-One": ["a"]}}}, "custom_response_headers to be like"),
        ({"cors_enabled": True}, "expected cors_allowed_origins"),
    ],
)
def test_settings_that_mean_nothing_stop_the_start(
    broker_server: Callable[..., RunningServer], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AssertionError, match=reason):
        broker_server(listener_options=options)
