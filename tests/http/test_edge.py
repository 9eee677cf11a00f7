"""From the bytes of a request to what the core is asked, and back: each header counted, each body bounded, each error in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.core.requests import Request
from broker.http.app import create_edge
from broker.http.listener import RuleBook
from broker.plugin.errors import BrokerError, Conflict, NotFound, Tampered
from broker.plugin.messages import Response
from broker.plugin.verbs import Verb
from broker.server.settings import ListenerConfig


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Edge:
    """The edge before a core that remembers what it is asked and answers ``reply`` (or raises it)."""

    reply: Any = field(default_factory=lambda: Response(data={"ok": True}))
    asked: list[Request] = field(default_factory=list)
    listener: ListenerConfig = field(default_factory=ListenerConfig)

    async def handle(self, request: Request) -> Response:
        self.asked.append(request)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def send(
        self, method: str, target: str, headers: Any = (), body: bytes = b"", chunk: int | None = None
    ) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,  # lossy by its nature: the edge does not look at it
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 5),
        }
        pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)] if chunk else [body]
        incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        incoming[-1]["more_body"] = False
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await create_edge(self.handle, RuleBook(other=self.listener))(scope, receive, send)
        start, *rest = sent
        return Answer(start["status"], dict(start["headers"]), b"".join(m.get("body", b"") for m in rest))

    @property
    def last(self) -> Request:
        assert len(self.asked) == 1
        return self.asked[0]


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.mark.parametrize(
    ("method", "target", "verb", "path"),
    [
        ("GET", "/v1/a/b", Verb.READ, "a/b"),
        ("POST", "/v1/a/b", Verb.UPDATE, "a/b"),
        ("PUT", "/v1/a/b", Verb.UPDATE, "a/b"),
        ("DELETE", "/v1/a/b", Verb.DELETE, "a/b"),
        ("LIST", "/v1/a/b", Verb.LIST, "a/b/"),
        ("LIST", "/v1/a/b//", Verb.LIST, "a/b/"),
        ("SCAN", "/v1/a/b", Verb.SCAN, "a/b/"),
        ("GET", "/v1/a/b?list=true", Verb.LIST, "a/b/"),
        ("GET", "/v1/a/b?list=True", Verb.LIST, "a/b/"),
        ("GET", "/v1/a/b?list=1", Verb.LIST, "a/b/"),
        ("GET", "/v1/a/b?scan=true", Verb.SCAN, "a/b/"),
        ("GET", "/v1/a/b?list=false", Verb.READ, "a/b"),
        ("GET", "/v1/a/b?list=", Verb.READ, "a/b"),
        ("GET", "/v1/a/b?help=1", Verb.HELP, "a/b"),
        ("HELP", "/v1/a/b", Verb.HELP, "a/b"),
        ("LIST", "/v1/a/b?list=false", Verb.LIST, "a/b/"),
        ("DELETE", "/v1/a/b?list=true", Verb.DELETE, "a/b"),
        ("HEAD", "/v1/sys/health", Verb.READ, "sys/health"),
    ],
)
async def test_verbs_and_lists(edge: Edge, method: str, target: str, verb: Verb, path: str):
    assert (await edge.send(method, target)).status == 200
    assert (edge.last.verb, edge.last.path, dict(edge.last.data)) == (verb, path, {})


async def test_a_query_is_the_data_of_a_read_and_an_empty_field_is_none(edge: Edge):
    await edge.send("GET", "/v1/a?version=3&after=&limit=%31")
    assert dict(edge.last.data) == {"version": "3", "limit": "1"}


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("OPTIONS", "/v1/a", 405),
        ("TRACE", "/v1/a", 405),
        ("CONNECT", "/v1/a", 405),
        ("get", "/v1/a", 405),
        ("HEAD", "/v1/a", 405),
        ("HEAD", "/v1/sys/health/", 405),
        ("GET", "/v1/a?list=yes", 400),
        ("GET", "/v1/a/../b", 400),
        ("POST", "/v1/a/", 400),
        ("PUT", "/v1/a%2f", 400),
        ("GET", "/v1/a?x=%ff", 400),
        ("GET", "/v2/a", 404),
        ("GET", "/v1", 404),
    ],
)
async def test_what_is_no_request_never_reaches_the_core(edge: Edge, method: str, target: str, status: int):
    answer = await edge.send(method, target)
    assert answer.status == status
    assert answer.headers[b"cache-control"] == b"no-store"
    assert answer.headers[b"content-type"] == b"application/json"
    assert list(answer.body) == ["errors"]
    assert edge.asked == []


@pytest.mark.parametrize(
    "name",
    ["X-Vault-Token", "Authorization", "X-Vault-Namespace", "X-Vault-Wrap-TTL", "Host", "Content-Length"],
)
@pytest.mark.parametrize("values", [("a", "b"), ("a", "a")])
async def test_a_header_that_decides_something_comes_once(edge: Edge, name: str, values: tuple[str, str]):
    answer = await edge.send("GET", "/v1/a", [(name, value) for value in values])
    assert answer.status == 400
    assert edge.asked == []


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([("X-Vault-Token", "one")], "one"),
        ([("Authorization", "Bearer one")], "one"),
        ([("Authorization", "bearer  one ")], "one"),
        ([("X-Vault-Token", "one"), ("Authorization", "Bearer two")], "one"),
        ([("X-Vault-Token", ""), ("Authorization", "Bearer two")], "two"),
        ([("Authorization", "Basic one")], None),
        ([("Authorization", "one")], None),
        ([("X-Vault-Token", "")], None),
        ([], None),
    ],
)
async def test_the_token_is_taken_out_of_the_headers(edge: Edge, headers: Any, token: str | None):
    await edge.send("GET", "/v1/a", headers)
    found = edge.last.token
    assert (None if found is None else found.reveal()) == token
    assert "x-vault-token" not in edge.last.headers
    assert found is None or found.reveal() not in str(dict(edge.last.headers)).replace("Bearer two", "")


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("application/json", b'{"a": "1"}', {"a": "1"}),
        ("text/plain", b'{"a": "1"}', {"a": "1"}),
        ("", b'{"a": "1"}', {"a": "1"}),
        ("application/x-www-form-urlencoded", b'{"a": "1"}', {"a": "1"}),
        ("application/x-www-form-urlencoded", b"a=1&b=x%20y", {"a": "1", "b": "x y"}),
        ("application/x-www-form-urlencoded; charset=utf-8", b"a=1&a=2", {"a": ["1", "2"]}),
        ("application/x-www-form-urlencoded", b"", {}),
        ("application/octet-stream", b"", {}),
    ],
)
async def test_bodies_are_json_unless_they_are_forms(edge: Edge, kind: str, body: bytes, data: Any):
    headers = [("Content-Type", kind)] if kind else []
    assert (await edge.send("POST", "/v1/a", headers, body)).status == 200
    assert dict(edge.last.data) == data


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/merge-patch+json", 200),
        ("application/merge-patch+json; charset=utf-8", 200),
        ("Application/Merge-Patch+JSON", 200),
        ("application/json", 415),
        ("application/json-patch+json", 415),
        (None, 400),
        ("", 400),
    ],
)
async def test_a_patch_says_that_it_is_a_merge_patch(edge: Edge, kind: str | None, status: int):
    headers = [] if kind is None else [("Content-Type", kind)]
    assert (await edge.send("PATCH", "/v1/a", headers, b"{}")).status == status
    assert len(edge.asked) == (status == 200)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused_before_it_is_kept(announced: bool):
    edge = Edge(listener=ListenerConfig(max_request_size=1000))
    body = b'{"a": "' + b"x" * 1200 + b'"}'
    headers = [("Content-Length", str(len(body)))] if announced else []
    answer = await edge.send("POST", "/v1/a", headers, body, chunk=100)
    assert (answer.status, edge.asked) == (413, [])
    assert "1000 bytes" in answer.body["errors"][0]
    exact = b'{"a": "' + b"x" * 991 + b'"}'
    assert (await edge.send("POST", "/v1/a", [], exact, chunk=100)).status == 200


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("60", 60), ("2m", 120), ("soon", None), ("-1s", None), ("999999999999h", None)]
)
async def test_the_wrapping_time_is_a_duration(edge: Edge, ttl: str, seconds: int | None):
    answer = await edge.send("GET", "/v1/a", [("X-Vault-Wrap-TTL", ttl)])
    if seconds is None:
        assert (answer.status, edge.asked) == (400, [])
    else:
        assert edge.last.wrap_ttl == seconds


async def test_an_answer_without_anything_is_a_204_without_a_body():
    answer = await Edge(Response(empty=True)).send("POST", "/v1/a")
    assert (answer.status, answer.raw) == (204, b"")
    assert b"content-type" not in answer.headers
    assert b"content-length" not in answer.headers


async def test_warnings_make_it_a_200_and_a_status_of_ones_own_is_kept():
    answer = await Edge(Response(empty=True, warnings=["mind this"])).send("POST", "/v1/a")
    assert (answer.status, answer.body["warnings"]) == (200, ["mind this"])
    assert (await Edge(Response(status=202)).send("POST", "/v1/a")).status == 202


async def test_the_envelope_has_every_key_and_explicit_nulls():
    answer = await Edge(Response(data={"v": 10**40})).send("GET", "/v1/a")
    assert list(answer.body) == [
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "data",
        "wrap_info",
        "warnings",
        "auth",
        "mount_type",
    ]
    assert answer.body["data"] == {"v": 10**40}
    assert answer.headers[b"content-type"] == b"application/json"
    assert int(answer.headers[b"content-length"]) == len(answer.raw)


class Odd(NotFound):
    warnings = ("look elsewhere",)


@pytest.mark.parametrize(
    ("error", "status", "check"),
    [
        (NotFound(), 404, lambda body: body == {"errors": []}),
        (NotFound("no such thing"), 404, lambda body: body == {"errors": ["no such thing"]}),
        (Conflict("one", "two"), 400, lambda body: body == {"errors": ["one", "two"]}),
        (NotFound(data={"v": 1}), 404, lambda body: body["data"] == {"v": 1} and "errors" not in body),
        (Odd(), 404, lambda body: body["warnings"] == ["look elsewhere"] and body["data"] is None),
        (
            Tampered("secret/x does not open"),
            500,
            lambda body: body == {"errors": ["secret/x does not open"]},
        ),
    ],
)
async def test_errors_are_answered_in_words(error: BrokerError, status: int, check: Callable[[Any], bool]):
    answer = await Edge(error).send("GET", "/v1/a")
    assert answer.status == status
    assert check(answer.body), answer.body


async def test_an_error_that_nobody_foresaw_says_nothing_but_the_request_id(caplog: pytest.LogCaptureFixture):
    answer = await Edge(ValueError("hunter2")).send("GET", "/v1/a")
    assert answer.status == 500
    (text,) = answer.body["errors"]
    assert text.startswith("internal error; request_id ")
    assert b"hunter2" not in answer.raw
    assert text.split()[-1] in caplog.text
