"""The harness itself: the masks hide what must differ and nothing else, and the public list is complete."""

from __future__ import annotations

import re

import pytest

from contrib.checks import ROOT
from tests.peer.client import Reply
from tests.peer.compare import differences, header_differences, masked, own_words
from tests.peer.differences import BY_STEP, EVERYWHERE
from tests.peer.script import GET, POST, fill, wire


@pytest.mark.parametrize(
    ("ours", "peer"),
    [
        ({"client_token": "hvs." + "a" * 24}, {"client_token": "s." + "b" * 24}),
        (
            {"request_id": "7ef1cfb4-ac7f-6c0a-41d1-6a8e0b7e9d6d"},
            {"request_id": "00000000-0000-4000-8000-000000000000"},
        ),
        ({"created_time": "2024-01-02T03:04:05.678Z"}, {"created_time": "2025-01-02T03:04:05Z"}),
        ({"ttl": 3600}, {"ttl": 3598}),
        ({"accessor": "kv_01234567"}, {"accessor": "kv_89abcdef"}),
        ({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}, {"errors": ["permission denied"]}),
    ],
)
def test_what_no_two_servers_agree_on_is_masked(ours, peer):
    assert list(differences(masked(ours), masked(peer))) == []


@pytest.mark.parametrize(
    ("ours", "peer", "complaint"),
    [
        ({"client_token": ""}, {"client_token": "s." + "b" * 24}, "client_token: ''"),
        ({"expire_time": None}, {"expire_time": "2025-01-02T03:04:05Z"}, "expire_time: None"),
        (
            {"deletion_time": "0001-01-01T00:00:00Z"},
            {"deletion_time": "2025-01-02T03:04:05Z"},
            "deletion_time",
        ),
        ({"ttl": 3600}, {"ttl": 1800}, "ttl: 3600"),
        ({"ttl": "3600"}, {"ttl": 3600}, "ttl: '3600'"),
        ({"renewable": 1}, {"renewable": True}, "renewable: 1"),
        ({"keys": ["a"]}, {"keys": ["a", "b"]}, "keys: ['a']"),
        ({"keys": ["b", "a"]}, {"keys": ["a", "b"]}, "keys.0: 'b'"),
        ({}, {"data": None}, "data: missing"),
        ({"extra": 1}, {}, "extra: 1"),
        ({"wrap_info": {}}, {"wrap_info": None}, "wrap_info: {}"),
    ],
)
def test_what_clients_would_notice_shows(ours, peer, complaint):
    found = list(differences(masked(ours), masked(peer)))
    assert found
    assert found[0].startswith(complaint)


def test_a_text_that_clients_match_on_must_be_the_same():
    ours = {"errors": ["the version is another one"]}
    assert not own_words(ours, {"errors": ["check-and-set parameter did not match the current version"]}, 400)
    assert own_words(ours, {"errors": ["strconv.ParseInt: invalid syntax"]}, 400)
    assert not own_words(ours, {"errors": ["strconv.ParseInt: invalid syntax"]}, 403)
    assert not own_words({"errors": []}, {"errors": ["strconv.ParseInt: invalid syntax"]}, 400)


def test_a_charset_in_the_content_type_shows():
    good = Reply(200, {"content-type": "application/json", "date": "x"}, {}, b"{}")
    charset = Reply(200, {"content-type": "application/json; charset=utf-8", "date": "x"}, {}, b"{}")
    assert list(header_differences(good, good)) == []
    assert len(list(header_differences(charset, good))) == 1


def test_names_are_filled_in_everywhere_and_keep_their_type():
    names = {"m": "word", "n": 3}
    assert fill({"${m}/x": ["${n}", "n=${n}", b"${m}"]}, names) == {"word/x": [3, "n=3", b"word"]}


def test_a_step_goes_out_as_written():
    assert wire(GET("a//b/../c%2f?list=true", token=None)) == ("GET", "/v1/a//b/../c%2f?list=true", {}, None)
    method, target, headers, body = wire(POST("/raw", b"{", token="t"))
    assert (method, target, headers, body) == ("POST", "/raw", {"X-Vault-Token": "t"}, b"{")


def test_every_difference_is_public_with_the_same_reason():
    page = (ROOT / "docs" / "compatibility.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert listed == EVERYWHERE | BY_STEP


def test_every_difference_is_held_by_a_script():
    scripts = "".join(path.read_text() for path in (ROOT / "tests" / "peer").glob("*.py"))
    used = set(re.findall(r'Differs\(\s*"([a-z0-9-]+)"', scripts))
    assert used == set(BY_STEP)


def test_what_is_not_there_yet_is_public_too():
    scripts = "".join(path.read_text() for path in (ROOT / "tests" / "peer").glob("test_*.py"))
    page = (ROOT / "docs" / "compatibility.md").read_text()
    _, _, behind = page.partition("## Not there yet")
    listed = re.findall(r"^- (.+)$", behind.partition("\n## ")[0], re.MULTILINE)
    assert sorted(listed) == sorted(set(re.findall(r'@not_yet\("([^"]+)"\)', scripts)))
