"""Heads and chunked bodies, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.server.framing import BadFraming, ChunkedBody, HeadBuffer, HeadTooLarge, check_fields

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"


def cut(data, places):
    """Split at the given places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def feed(buffer, pieces):
    for piece in pieces:
        buffer.take(piece)


def take_all(body, pieces):
    """Feed pieces until the body ends: its content and what follows."""
    content = b""
    for number, piece in enumerate(pieces):
        found, rest = body.take(piece)
        content += b"".join(found)
        if rest is not None:
            return content, rest + b"".join(pieces[number + 1 :])
    return content, None


@given(
    st.lists(st.integers(0, 200), max_size=8),
    st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]),
    st.binary(max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_a_head_is_found_wherever_it_is_cut(places, before, after):
    buffer, found = HeadBuffer(100), None
    pieces = cut(before + HEAD + after, places)
    for number, piece in enumerate(pieces):
        found = buffer.take(piece)
        if found is not None:
            head, rest = found
            assert head == HEAD
            assert rest + b"".join(pieces[number + 1 :]) == after
            assert not buffer.begun
            return
    raise AssertionError("the head was not found")


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_bare_newline_is_found_wherever_it_is_cut(places, which):
    parts = HEAD.split(b"\r\n")
    bad = b"\r\n".join(parts[: which + 1]) + b"\n" + b"\r\n".join(parts[which + 1 :])
    buffer = HeadBuffer(100)
    with pytest.raises(BadFraming):
        feed(buffer, [*cut(bad, places), b"\r\n\r\n"])


def test_an_endless_head_is_cut_off_and_its_kind_told():
    for start, target in ((b"GET /", True), (b"GET / HTTP/1.1\r\nX-A: ", False)):
        buffer = HeadBuffer(100)
        buffer.take(start)
        with pytest.raises(HeadTooLarge) as caught:
            feed(buffer, [b"a" * 1000] * 100)
        assert caught.value.target is target


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(0, 400), max_size=10),
    st.binary(max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_a_chunked_body_is_the_same_wherever_it_is_cut(chunks, places, after):
    framed = (
        b"".join(b"%x;n=v\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: t\r\n\r\n"
    )
    assert take_all(ChunkedBody(), cut(framed + after, places)) == (b"".join(chunks), after)


@pytest.mark.parametrize(
    "framed",
    [
        b"g\r\n", b"\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b" 1\r\n", b"1 \r\n", b"100000000\r\n", b"1\n", b"1\ra\n",
        b"1\r\nab\r\n", b"1\r\na\n", b"1;\x00\r\n", b"1;" + b"a" * 2000 + b"\r\n", b"0\r\nno colon\r\n", b"0\r\n: v\r\n",
        b"0\r\nA : v\r\n", b"0\r\n folded\r\n", b"0\r\n\n", b"0\r\n" + b"A: " + b"b" * 2000, b"0\r\n" + (b"A: " + b"b" * 900 + b"\r\n") * 10,
    ],
)  # fmt: skip
def test_chunks_that_could_be_read_in_two_ways_are_refused(framed):
    for pieces in ([framed], [framed[at : at + 1] for at in range(len(framed))]):
        body = ChunkedBody()
        with pytest.raises(BadFraming):
            take_all(body, pieces)


@pytest.mark.parametrize(
    "length", [b"", b"-1", b"+1", b" 1", b"1,1", b"0x1", b"1_0", b"9" * 16, "\u0661".encode()]
)
def test_a_length_is_plain_digits(length):
    with pytest.raises(BadFraming):
        check_fields({b"host": b"x", b"content-length": length}, (1, 1))


def test_a_host_is_needed_since_http_1_1():
    check_fields({}, (1, 0))
    check_fields({b"host": b"", b"content-length": b"0"}, (1, 1))
    with pytest.raises(BadFraming):
        check_fields({}, (1, 1))
