"""What a record shows and hides, and that no odd input keeps it from being written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit import AuthFacts, ResponseFacts
from broker.audit.clock import Stamp, nano_text
from broker.audit.hashing import Salt
from broker.audit.options import RecordOptions
from broker.audit.records import RecordEncoder
from broker.plugin.context import Mount, MountConfig
from broker.plugin.messages import WrapInfo
from broker.plugin.secret import Secret
from tests.audit.helpers import ACCESSOR, TOKEN, an_entry

SALT = Salt("salt")
NON_HMAC = MountConfig(audit_non_hmac_request_keys=("user",), audit_non_hmac_response_keys=("ttl",))
TUNED = Mount("secret/", "kv", "uuid", "kv_1", config=NON_HMAC)


def encoder(headers: dict[str, bool] | None = None, **options: bool) -> RecordEncoder:
    return RecordEncoder("device", Salt("salt"), RecordOptions(**options), headers or {})


def request(entry: Any, **options: Any) -> dict[str, Any]:
    return json.loads(b"{%b}" % encoder(**options).request(entry))


def response(entry: Any, facts: ResponseFacts, **options: Any) -> dict[str, Any]:
    return json.loads(b"{%b}" % encoder(**options).response(entry, facts))


def test_keys_tuned_on_the_mount_stay_readable_each_on_its_own_side():
    entry = an_entry(mount=TUNED, data={"user": "app", "ttl": "1h"})
    shown = response(entry, ResponseFacts({"user": "app", "ttl": "1h"}))
    assert shown["request"]["data"] == {"user": "app", "ttl": SALT.text("1h")}
    assert shown["response"]["data"] == {"user": SALT.text("app"), "ttl": "1h"}


def test_accessors_stay_readable_where_the_operator_says_so():
    facts = ResponseFacts(auth=AuthFacts("hvs.new", "newaccessor", token_type="service"))
    hashed = response(an_entry(), facts)
    assert hashed["auth"]["accessor"] == SALT.text(ACCESSOR)
    shown = response(an_entry(), facts, hmac_accessor=False)
    assert shown["auth"]["accessor"] == ACCESSOR
    assert shown["request"]["client_token_accessor"] == ACCESSOR
    assert shown["response"]["auth"]["accessor"] == "newaccessor"
    assert shown["auth"]["client_token"] == SALT.text(TOKEN)


def test_log_raw_shows_everything_but_only_then():
    entry = an_entry(data={"pw": Secret("hunter2"), "n": 5})
    assert request(entry, log_raw=True)["request"]["data"] == {"pw": "hunter2", "n": 5}
    assert "hunter2" not in json.dumps(request(an_entry(data={"pw": Secret("hunter2"), "n": 5})))


def test_a_body_that_is_not_json_is_hashed_whole():
    pem = b"-----BEGIN CERTIFICATE-----\nMIIB\n"
    shown = response(an_entry(data=b"\xff\xfe"), ResponseFacts(pem))
    assert shown["response"]["data"] == {"http_raw_body": SALT.raw(pem)}
    assert shown["request"]["data"] == {"http_raw_body": SALT.raw(b"\xff\xfe")}
    assert SALT.raw(pem) == SALT.text(pem.decode())


def test_a_wrapped_answer_shows_neither_the_wrapping_token_nor_the_accessors():
    wrap = WrapInfo(Secret("hvs.wrapping"), "wrapaccessor", 60, 1.5, "secret/data/a", "inner")
    shown = response(an_entry(wrap_ttl=60), ResponseFacts(wrap_info=wrap))
    assert shown["request"]["wrap_ttl"] == 60
    assert shown["response"]["wrap_info"] == {
        "ttl": 60,
        "token": SALT.text("hvs.wrapping"),
        "accessor": SALT.text("wrapaccessor"),
        "creation_time": "1970-01-01T00:00:01.5Z",
        "creation_path": "secret/data/a",
        "wrapped_accessor": SALT.text("inner"),
    }


def test_a_lease_is_named():
    assert response(an_entry(), ResponseFacts(lease_id="aws/creds/x"))["response"]["secret"] == {
        "lease_id": "aws/creds/x"
    }


def test_an_error_is_shown_in_words_and_as_the_hashed_answer():
    shown = response(an_entry(error="permission denied"), ResponseFacts())
    assert shown["error"] == "permission denied"
    assert shown["response"]["data"] == {"error": SALT.text("permission denied")}


def test_only_chosen_headers_are_recorded_hashed_where_asked():
    entry = an_entry(headers={"user-agent": ["bao"], "x-key": ["k1", "k2"], "cookie": ["c"]})
    shown = request(entry, headers={"user-agent": False, "x-key": True, "x-absent": True})
    assert shown["request"]["headers"] == {"user-agent": ["bao"], "x-key": [SALT.text("k1"), SALT.text("k2")]}
    assert "headers" not in request(an_entry(headers={"cookie": ["c"]}))["request"]


def test_a_login_shows_the_new_token_in_the_answers_record():
    records = encoder()
    entry = an_entry(auth=None, client_token=None, client_token_accessor="", policy_results=None)
    before = json.loads(b"{%b}" % records.request(entry))
    entry.auth = AuthFacts("hvs.new", "new", "userpass-bob", ("default",), ("default",), token_type="service")
    after = json.loads(b"{%b}" % records.response(entry, ResponseFacts(auth=entry.auth)))
    assert before["auth"] == {"token_type": "default"}
    assert after["auth"]["display_name"] == "userpass-bob"
    assert after["auth"]["client_token"] == after["response"]["auth"]["client_token"] == SALT.text("hvs.new")
    assert after["request"] == before["request"]


def test_each_device_encodes_an_entry_with_its_own_salt():
    entry = an_entry(data={"pw": "x"})
    first = RecordEncoder("one", Salt("one"), RecordOptions(), {})
    second = RecordEncoder("two", Salt("two"), RecordOptions(), {})
    assert Salt("one").text("x").encode() in first.request(entry)
    assert Salt("two").text("x").encode() in second.request(entry)
    assert Salt("two").text("x").encode() in second.response(entry, ResponseFacts())


odd_text = st.text(st.characters(exclude_categories=()), max_size=8)
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_text | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(odd_text, odd_values, max_size=3), odd_text, st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_odd_input_keeps_a_record_from_being_written(data, text, raw):
    entry = an_entry(data=data, path=text, mount=TUNED, headers={"user-agent": [text]}, error=text)
    headers = {"user-agent": False}
    line = encoder(headers, log_raw=raw).response(
        entry, ResponseFacts({"user": data, "ttl": data}, warnings=[text])
    )
    assert b"\n" not in line
    assert json.loads(b"{%b}" % line)["type"] == "response"


@pytest.mark.parametrize(
    ("ns", "text", "stamp"),
    [
        (0, "1970-01-01T00:00:00Z", b"1970-01-01T00:00:00.000000000Z"),
        (1_600_000_000, "1970-01-01T00:00:01.6Z", b"1970-01-01T00:00:01.600000000Z"),
        (1_795_366_952_000_000_001, "2026-11-22T17:02:32.000000001Z", b"2026-11-22T17:02:32.000000001Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(ns, text, stamp):
    assert nano_text(ns) == text
    assert Stamp(lambda: ns).now() == stamp


def test_a_stamp_follows_the_clock_back_too():
    times = iter([1_900_000_000, 1_950_000_000, 900_000_000])
    stamp = Stamp(lambda: next(times))
    assert [stamp.now() for _ in range(3)] == [
        b"1970-01-01T00:00:01.900000000Z",
        b"1970-01-01T00:00:01.950000000Z",
        b"1970-01-01T00:00:00.900000000Z",
    ]
