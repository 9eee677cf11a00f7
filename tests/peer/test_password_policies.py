"""``sys/policies/password`` as the peer has it."""

from __future__ import annotations

import base64

import pytest

from tests.peer.harness import Pair
from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

AT = "sys/policies/password/${m}"
GOOD = 'length = 12\nrule "charset" {\n  charset = "abc"\n  min-chars = 2\n}'
JSON = '{"length": 8, "rule": [{"charset": {"charset": "abc", "min-chars": 1}}]}'
STRICTER = Differs("stricter-input", status=400, body=False)


def test_a_policy_is_written_read_used_listed_and_deleted(pair: Pair):
    pair.run(
        GET(AT, 404),
        GET(f"{AT}/generate", 404),
        PUT(AT, {"policy": GOOD}, 204),
        GET(AT),
        GET(f"{AT}/generate", ignore="data.password"),
        POST(AT, {"policy": JSON}, 204),
        GET(AT),
        GET(f"{AT}/generate", ignore="data.password"),
        LIST("sys/policies/password", mine="data.keys"),
        GET("sys/policies/password?list=true", mine="data.keys"),
        GET("sys/policies/password", 405, differs=WRONG),
        POST(f"{AT}/generate", {}, 405, differs=WRONG),
        DELETE(f"{AT}/generate", 405, differs=WRONG),
        DELETE(AT, 204),
        GET(AT, 404),
        DELETE(AT, 204),
    )


def test_base64_deep_names_and_case(pair: Pair):
    pair.run(
        PUT(AT, {"policy": base64.b64encode(GOOD.encode()).decode()}, 204),
        GET(AT),
        PUT(f"{AT}/deep/er", {"policy": GOOD}, 204),
        GET(f"{AT}/deep/er"),
        PUT(f"{AT}Up", {"policy": GOOD}, 204),
        GET(f"{AT}up", 404),
        DELETE(f"{AT}/deep/er", 204),
        DELETE(f"{AT}Up", 204),
        DELETE(AT, 204),
    )


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "length = 20",
        'rule "charset" { charset = "abc" }',
        'length = 0\nrule "charset" { charset = "abc" }',
        'length = -3\nrule "charset" { charset = "abc" }',
        'length = 3\nrule "charset" { charset = "abc" }',
        'length = 101\nrule "charset" { charset = "abc" }',
        'length = 4\nrule "charset" {\n charset = "abc"\n min-chars = 5\n}',
        'length = 20\nrule "nope" { charset = "abc" }',
        'length = 20\nrule "charset" { }',
        'length = 20\nrule "charset" { charset = "a\\tb" }',
        'length = 20\nrule { charset = "abc" }',
        'length = "20"\nrule "charset" { charset = "abc" }',
        "garbage {{{",
        '{"length": 8}',
    ],
)
def test_what_is_refused(pair: Pair, policy: str):
    pair.run(PUT(AT, {"policy": policy}, 400), GET(AT, 404))


@pytest.mark.parametrize(
    "policy",
    [
        'length = 20.5\nrule "charset" { charset = "abc" }',
        'length = 8\nlength = 9\nrule "charset" { charset = "abc" }',
        'length = 8\nextra = 1\nrule "charset" { charset = "abc" }',
        'length = 8\nrule "charset" {\n charset = "abc"\n minchars = 1\n}',
        'length = 8\nrule "charset" {\n charset = "abc"\n min-chars = -1\n}',
    ],
)
def test_what_only_ours_refuses(pair: Pair, policy: str):
    pair.run(PUT(AT, {"policy": policy}, 204, differs=STRICTER), DELETE(AT, 204))


@pytest.mark.parametrize(
    "policy",
    [
        'length = 100\nrule "charset" { charset = "abcde" }',
        'length = 4\nrule "charset" { charset = "äöü" }',
        'length = 6\nrule "charset" {\n charset = "a"\n min-chars = 3\n}\nrule "charset" {\n charset = "b"\n min-chars = 3\n}',
        '{"length": 8, "rule": {"charset": {"charset": "abc", "min-chars": 1}}}',
    ],
)
def test_what_both_take(pair: Pair, policy: str):
    pair.run(
        PUT(AT, {"policy": policy}, 204),
        GET(AT),
        GET(f"{AT}/generate", ignore="data.password"),
        DELETE(AT, 204),
    )


def test_a_namespace_has_its_own(pair: Pair):
    pair.run(
        POST("sys/namespaces/${m}n", {}),
        LIST("sys/policies/password", 404, namespace="${m}n"),
        PUT(AT, {"policy": GOOD}, 204, namespace="${m}n"),
        GET(AT, 404),
        GET(AT, namespace="${m}n"),
        LIST("sys/policies/password", namespace="${m}n"),
        GET(f"{AT}/generate", namespace="${m}n", ignore="data.password"),
    )
