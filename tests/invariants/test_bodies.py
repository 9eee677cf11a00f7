"""Invariant: a bad body gets a 4xx with a sentence that helps; never a 500, never a partial write."""

from __future__ import annotations

import json
import math
import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.invariants.node import LOST

LIMIT = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def mount(node):
    node.kv("bodies")
    return "bodies"


def untouched(node, mount) -> None:
    """Nothing was written, and the same connection still serves."""
    assert node.call("LIST", f"{mount}/metadata").status == 404


REFUSED = {
    "text": (b"hello", "JSON"),
    "cut off": (b'{"data": {"k": "v"', "JSON"),
    "two documents": (b'{"data": {"k": "v"}} {}', "JSON"),
    "trailing comma": (b'{"data": {"k": "v",}}', "JSON"),
    "single quotes": (b"{'data': {'k': 'v'}}", "JSON"),
    "comment": (b'{"data": {"k": "v"} /* no */}', "JSON"),
    "list": (b'[{"data": {"k": "v"}}]', "object"),
    "string": (b'"data"', "object"),
    "number": (b"5", "object"),
    "true": (b"true", "object"),
    "bom": (b'\xef\xbb\xbf{"data": {"k": "v"}}', "JSON"),
    "utf-16": ('{"data": {"k": "v"}}'.encode("utf-16"), "JSON"),
    "bad utf-8": (b'{"data": {"k": "\xff"}}', "UTF-8"),
    "surrogate bytes": (b'{"data": {"k": "\xed\xa0\x80"}}', "UTF-8"),
    "lone surrogate": (rb'{"data": {"k": "\ud800"}}', "UTF-8"),
    "raw control character": (b'{"data": {"k": "a\nb"}}', "control"),
    "nul byte": (b'{"data": {"k": "v"}}\x00', "JSON"),
    "duplicate key": (b'{"data": {"k": "v"}, "data": {"k": "w"}}', "twice"),
    "duplicate key inside": (b'{"data": {"k": "v", "k": "w"}}', "twice"),
    "duplicate key, escaped": (rb'{"data": {"k": "v", "\u006b": "w"}}', "twice"),
    "nan": (b'{"data": {"k": NaN}}', "NaN"),
    "infinity": (b'{"data": {"k": Infinity}}', "Infinity"),
    "minus infinity": (b'{"data": {"k": -Infinity}}', "Infinity"),
    "overflow": (b'{"data": {"k": 1e400}}', "range"),
    "minus overflow": (b'{"data": {"k": -1e400}}', "range"),
    "lossy decimal": (b'{"data": {"k": 1.10000000000000000001}}', "digits"),
    "5000 digits": (b'{"data": {"k": ' + b"7" * 5000 + b"}}", "digits"),
    "leading zero": (b'{"data": {"k": 012}}', "JSON"),
    "plus": (b'{"data": {"k": +1}}', "JSON"),
    "hex": (b'{"data": {"k": 0x10}}', "JSON"),
    "underscore": (b'{"data": {"k": 1_000}}', "JSON"),
    "arabic digits": ('{"data": {"k": ١٢}}'.encode(), "JSON"),
    "deep lists": (b"[" * 100_000, "deep"),
    "deep lists in data": (b'{"data": ' + b"[" * 3000 + b"]" * 3000 + b"}", "deep"),
    "deep objects": (b'{"a":' * 3000 + b"1" + b"}" * 3000, "deep"),
    "depth 101": (b'{"data":' + b"[" * 101 + b"]" * 101 + b"}", "deep"),
    "many keys": (
        b'{"data": {' + b",".join(b'"k%d": 1' % number for number in range(200_000)) + b"}}",
        "items",
    ),
    "many empty objects": (b'{"data": [' + b"{}," * 999_999 + b"{}]}", "items"),
    "unknown field": (b'{"data": {"k": "v"}, "dada": 1}', "dada"),
    "no data": (b'{"options": {}}', "data"),
    "data is null": (b'{"data": null}', "data"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_body_is_refused_with_a_sentence_and_writes_nothing(node, mount, case):
    body, word = REFUSED[case]
    for path in (f"{mount}/data/a", f"{mount}/data/a/b/c"):
        reply = node.call("POST", path, raw=body)
        assert reply.status == 400, reply
        assert len(reply.errors) == 1 and word.lower() in reply.errors[0].lower(), reply
        assert len(reply.raw) < 500
    untouched(node, mount)


@pytest.mark.parametrize(
    "case", ["text", "cut off", "list", "deep lists", "many keys", "nan", "duplicate key"]
)
@pytest.mark.parametrize(
    "path",
    [
        "sys/unseal",
        "sys/init",
        "sys/generate-root/attempt",
        "auth/token/create",
        "sys/wrapping/unwrap",
        "auth/userpass/login/x",
    ],
)
def test_a_bad_body_is_refused_without_a_token_too(node, case, path):
    reply = node.call("POST", path, raw=REFUSED[case][0], token="")
    assert 400 <= reply.status < 500 and reply.errors is not None, reply
    assert node.ok("GET", "sys/seal-status", token="").body["sealed"] is False


EXACT = {
    "29 digits": "12345678901234567890123456789",
    "4300 digits": "9" * 4300,
    "negative": "-98765432109876543210",
    "zero": "0",
    "tenth": "0.1",
    "exponent": "1e300",
    "small": "5e-324",
    "17 digits": "0.30000000000000004",
}


@pytest.mark.parametrize("case", EXACT)
def test_a_number_comes_back_as_it_went_in(node, fresh, case):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/a", raw=b'{"data": {"k": %s}}' % EXACT[case].encode())
    back = re.search(rb'"k":([^,}]+)', node.ok("GET", f"{fresh}/data/a").raw)[1].decode()
    if "." in EXACT[case] or "e" in EXACT[case]:
        assert math.isclose(float(back), float(EXACT[case]), rel_tol=0)
    else:
        assert back == EXACT[case]


def test_text_of_every_kind_comes_back_as_it_went_in(node, fresh):
    node.kv(fresh)
    data = {
        "k": "a\u0000b\u2028\U0001f511\u202e\ufeff\u00e9e\u0301",
        "": "empty key",
        "nested": {"a": [None, True, 1, "x"]},
    }
    node.ok("POST", f"{fresh}/data/a", {"data": data})
    assert node.ok("GET", f"{fresh}/data/a").data["data"] == data


TTLS = [
    "99999999999h",
    "1e99",
    "-",
    "1 h",
    "h",
    "\u0661h",
    "1h1",
    "NaN",
    "0x10",
    " ",
    "1.5.5s",
    "9" * 400,
    True,
    [],
    {},
    1e99,
    -(10**30),
    10**30,
]


@pytest.mark.parametrize("ttl", TTLS, ids=lambda ttl: str(ttl)[:20])
def test_a_lifetime_that_is_none_is_refused_and_no_token_is_made(node, ttl):
    before = set(node.ok("LIST", "auth/token/accessors").data["keys"])
    for field in ("ttl", "explicit_max_ttl", "period"):
        if ttl == " ":
            continue
        reply = node.call("POST", "auth/token/create", {"policies": ["default"], field: ttl})
        assert reply.status == 400 and reply.errors[0], f"{field}: {reply}"
    assert set(node.ok("LIST", "auth/token/accessors").data["keys"]) <= before


@pytest.mark.parametrize("version", ["-1", "\u0661", "1.0", "1e0", "0x1", "true", "9" * 30, " 1", "1 "])
def test_a_version_that_is_none_is_refused(node, fresh, version):
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/a", {"data": {"k": "v"}})
    quoted = "".join(f"%{byte:02x}" for byte in version.encode())
    reply = node.call("GET", f"{fresh}/data/a?version={quoted}")
    assert reply.status in (400, 404) and b'"v"' not in reply.raw, reply


# Size: the limit holds before anything is kept, with and without a token


def send_until_answered(address: str, head: bytes, chunk: bytes, most: int) -> tuple[bytes, int]:
    """Send chunks until the server answers or hangs up: its answer, and how many bytes it had taken."""
    split = urlsplit(address)
    sent = 0
    with socket.create_connection((split.hostname, split.port), timeout=20) as sock:
        sock.sendall(head)
        with suppress(OSError):
            while sent < most:
                sent += sock.send(chunk)
                sock.setblocking(False)
                with suppress(BlockingIOError):
                    if sock.recv(1, socket.MSG_PEEK):
                        break
                sock.settimeout(20)
        sock.settimeout(20)
        answer = b""
        with suppress(OSError):
            while part := sock.recv(65536):
                answer += part
    return answer, sent


@pytest.mark.parametrize("path", ["bodies/data/a", "sys/unseal", "sys/init", "nowhere"])
@pytest.mark.parametrize("token", [True, False], ids=["token", "no token"])
def test_a_body_over_the_limit_is_refused_before_it_is_read(node, mount, path, token):
    sent_token = f"X-Vault-Token: {node.token}\r\n" if token else ""
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\n{sent_token}"
    declared = f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode()
    answer, sent = send_until_answered(node.server.address, declared, b" " * 65536, LIMIT)
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")), answer[:200]
    assert sent < LIMIT // 2
    untouched(node, mount)


def test_an_endless_body_is_cut_off_at_the_limit(node, mount):
    head = f"POST /v1/{mount}/data/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {node.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    answer, sent = send_until_answered(node.server.address, head.encode(), chunk, 3 * LIMIT)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert sent < 2 * LIMIT
    untouched(node, mount)


def test_a_body_that_ends_early_writes_nothing(node, mount):
    body = json.dumps({"data": {"k": "v"}}).encode()
    head = f"POST /v1/{mount}/data/a HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {node.token}\r\nContent-Length: {len(body) + 10}\r\n\r\n"
    split = urlsplit(node.server.address)
    with socket.create_connection((split.hostname, split.port), timeout=20) as sock:
        sock.sendall(head.encode() + body)
        sock.shutdown(socket.SHUT_WR)
        with suppress(*LOST):
            sock.recv(65536)
    untouched(node, mount)


@pytest.mark.parametrize(
    "head",
    [
        "X-Long: " + "a" * 100_000,
        "\r\n".join(f"X-{number}: 1" for number in range(2000)),
        "X-Nul: a\x00b",
        "X-Fold: a\r\n b",
        "X Space: a",
        "X-Colon : a",
        ": a",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked",
        "Content-Length: -1",
        "Content-Length: +4",
        "Content-Length: 4_0",
        "Content-Length: 0x4",
    ],
    ids=lambda head: head[:25].replace("\r\n", "|"),
)
def test_a_head_that_two_readers_may_read_differently_is_refused_and_nothing_behind_it_runs(
    node, mount, head
):
    smuggled = f"POST /v1/{mount}/data/smuggled HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {node.token}\r\nContent-Length: 20\r\n\r\n"
    raw = (
        f"POST /v1/{mount}/data/a HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}"
        + '{"data":{"k":"vvvv"}}'
    )
    answer, _ = send_until_answered(node.server.address, b"", raw.encode(), len(raw))
    assert re.match(rb"HTTP/1\.1 4\d\d", answer), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    untouched(node, mount)
