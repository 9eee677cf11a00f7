"""Who may make which token, over HTTP: nobody gets more than they have, and a limited token is used as often as it says."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.access.tokens import MAX_DEPTH
from tests.core.system.conftest import Api

CREATE = 'path "auth/token/create" { capabilities = ["update"] }\n'
SUDO = 'path "auth/token/create" { capabilities = ["update", "sudo"] }\n'

SPELLINGS = [
    "root",
    "ROOT",
    " root",
    "root ",
    "root\n",
    "root\u00a0",
    "root\u200b",
    "root\u0000",
    "\uff52\uff4f\uff4f\uff54",
    "\u0280oot",
    "default,root",
    "root/",
    "./root",
]


def created(api: Api, body: dict[str, object], token: str = "root") -> dict[str, object]:
    reply = api.ask("POST", "auth/token/create", body, token=token)
    assert reply.status == 200, reply
    auth: dict[str, object] = reply.body["auth"]
    return auth


@pytest.mark.parametrize("name", SPELLINGS, ids=ascii)
@pytest.mark.parametrize("policy", [CREATE, SUDO], ids=["plain", "sudo"])
@pytest.mark.parametrize(
    "among", [lambda name: [name], lambda name: ["default", name], str], ids=["one", "two", "text"]
)
def test_nobody_becomes_root_by_spelling(api: Api, policy: str, name: str, among):
    maker = api.token_with(policy)
    before = set(api.data("LIST", "auth/token/accessors")["keys"])
    reply = api.ask("POST", "auth/token/create", {"policies": among(name)}, token=maker)
    assert reply.status == 400, reply
    assert set(api.data("LIST", "auth/token/accessors")["keys"]) <= before


@pytest.mark.parametrize("name", ["ROOT", "root", "root%20", "%20root", "root%00", "root%E2%80%8B", "Root/"])
def test_nobody_writes_a_policy_that_reads_like_root(api: Api, name: str):
    reply = api.ask("PUT", f"sys/policies/acl/{name}", {"policy": CREATE})
    assert reply.status == 400, reply


@pytest.mark.parametrize(
    "wanted",
    [
        {"policies": ["default"]},
        {"policies": ["another"]},
        {"no_parent": True},
        {"period": "1h"},
        {"id": "mine"},
    ],
    ids=str,
)
def test_without_sudo_a_child_gets_no_more_than_its_maker_has(api: Api, wanted: dict[str, object]):
    maker = api.token_with(CREATE)
    assert api.ask("POST", "auth/token/create", wanted, token=maker).status == 400


def test_a_child_of_a_token_without_the_default_policy_does_not_get_it(api: Api):
    maker = api.token_with(CREATE)
    own = api.ask("POST", "auth/token/create", {}, token=maker).body["auth"]["policies"]
    assert "default" not in own
    assert created(api, {"policies": own}, maker)["policies"] == own


def test_a_limited_token_makes_no_children(api: Api):
    maker = api.token_with(CREATE, num_uses=5)
    reply = api.ask("POST", "auth/token/create", {}, token=maker)
    assert (reply.status, reply.body["errors"]) == (
        400,
        ["restricted use token cannot generate child tokens"],
    )


@pytest.mark.parametrize("uses", [1, 7])
def test_a_limited_token_is_good_for_exactly_its_uses_however_they_come(api: Api, uses: int):
    token = created(api, {"policies": ["default"], "num_uses": uses})["client_token"]

    def use(_: int) -> int:
        mine = Api(api.server, str(token))
        try:
            return mine.ask("GET", "auth/token/lookup-self").status
        finally:
            mine.close()

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(use, range(uses * 4 + 8)))
    assert answers.count(200) == uses
    assert set(answers) == {200, 403}


def test_a_refused_request_takes_a_use_as_well(api: Api):
    token = str(created(api, {"policies": ["default"], "num_uses": 1})["client_token"])
    assert api.ask("GET", "secret/data/x", token=token).status == 403
    assert api.ask("GET", "auth/token/lookup-self", token=token).status == 403


def test_no_child_outlives_its_parent_however_it_was_made(api: Api):
    """Children keep being made, over all workers, while their parent is revoked."""
    for _ in range(4):
        parent = api.token_with(CREATE)
        made: list[str] = []

        def make(_: int, parent: str = parent, made: list[str] = made) -> None:
            mine = Api(api.server, parent)
            try:
                while (reply := mine.ask("POST", "auth/token/create", {})).status == 200:
                    made.append(reply.body["auth"]["client_token"])
                assert reply.status == 403, reply
            finally:
                mine.close()

        with ThreadPoolExecutor(6) as pool:
            makers = [pool.submit(make, number) for number in range(6)]
            while len(made) < 20:
                time.sleep(0.001)
            api.done("POST", "auth/token/revoke", {"token": parent})
            for maker in makers:
                maker.result()
        assert {api.ask("GET", "auth/token/lookup-self", token=child).status for child in made} == {403}


def test_children_left_as_orphans_live_and_say_so(api: Api):
    parent = api.token_with(CREATE + 'path "auth/token/lookup-self" { capabilities = ["read"] }\n')
    child = str(created(api, {}, parent)["client_token"])
    assert api.data("GET", "auth/token/lookup-self", token=child)["orphan"] is False
    api.done("POST", "auth/token/revoke-orphan", {"token": parent})
    assert api.ask("GET", "auth/token/lookup-self", token=parent).status == 403
    assert api.data("GET", "auth/token/lookup-self", token=child)["orphan"] is True


def test_a_chain_of_tokens_has_an_end(api: Api):
    token, made = api.token_with(CREATE), 0
    while True:
        reply = api.ask("POST", "auth/token/create", {}, token=token)
        if reply.status != 200:
            break
        token, made = reply.body["auth"]["client_token"], made + 1
        assert made <= MAX_DEPTH
    assert reply.status == 400
    assert "ancestors" in reply.body["errors"][0]
    assert made >= MAX_DEPTH - 3


@pytest.mark.parametrize(
    "text", ["hvs.mine", "hvb.mine", "s.mine", "b.mine", "a.b", "a b", "\u00fc", "x" * 257, "a\n"]
)
def test_a_token_of_ones_own_choosing_may_not_look_like_one_of_ours(api: Api, text: str):
    reply = api.ask("POST", "auth/token/create", {"id": text})
    assert reply.status == 400, reply
    assert not text.strip() or text not in reply.body["errors"][0]


def test_a_token_of_ones_own_choosing_is_taken_once(api: Api):
    assert created(api, {"id": "chosen-1", "ttl": "1h"})["client_token"] == "chosen-1"
    assert api.ask("POST", "auth/token/create", {"id": "chosen-1"}).status == 400
    api.done("POST", "auth/token/revoke", {"token": "chosen-1"})
    assert api.ask("GET", "auth/token/lookup-self", token="chosen-1").status == 403


def test_a_root_token_with_a_short_life_is_not_one_without_end(api: Api):
    made = created(api, {"ttl": "1ms"})
    assert made["lease_duration"] == 1
    about = api.data("POST", "auth/token/lookup-accessor", {"accessor": made["accessor"]})
    assert about["expire_time"] is not None


def test_an_expiring_root_token_makes_none_that_does_not_expire(api: Api):
    brief = str(created(api, {"ttl": "1h"})["client_token"])
    assert api.ask("POST", "auth/token/create", {}, token=brief).status == 400
    assert created(api, {"ttl": "1h"}, brief)["lease_duration"] == 3600


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("ttl", "explicit_max_ttl", "period", "num_uses")
        for value in (-1, "-1s", "soon", 1e99, "99999999999h", [], {}, True, "\u0661", "1_0", "nan")
        if not (field == "num_uses" and value is True)
    ],
    ids=str,
)
def test_numbers_and_times_that_mean_nothing_are_refused_without_echo(api: Api, field: str, value: object):
    reply = api.ask("POST", "auth/token/create", {field: value})
    assert reply.status == 400, reply
    if isinstance(value, str) and len(value) > 3:
        assert value not in reply.body["errors"][0]


@pytest.mark.parametrize("increment", ["-1s", -5, 1e12, "soon", "99999999999h"])
def test_a_renewal_by_nonsense_changes_nothing(api: Api, increment: object):
    made = created(api, {"policies": ["default"], "ttl": "1h"})
    token = str(made["client_token"])
    reply = api.ask("POST", "auth/token/renew-self", {"increment": increment}, token=token)
    assert reply.status == 400, reply
    about = api.data("GET", "auth/token/lookup-self", token=token)
    assert 3500 < about["ttl"] <= 3600
    assert "last_renewal" not in about


def test_a_renewal_never_passes_the_explicit_maximum(api: Api):
    made = created(api, {"policies": ["default"], "ttl": "1h", "explicit_max_ttl": "2h"})
    reply = api.ask("POST", "auth/token/renew-self", {"increment": "90000h"}, token=str(made["client_token"]))
    assert reply.body["auth"]["lease_duration"] <= 7200
    assert reply.body["warnings"]


def test_a_token_from_below_knows_nothing_of_another_namespace(api: Api):
    for name in ("one", "two"):
        api.done("POST", f"sys/namespaces/tok-{name}", {})
    made = api.ask("POST", "auth/token/create", {"policies": ["default"]}, namespace="tok-one").body["auth"]
    token, accessor = made["client_token"], made["accessor"]
    assert api.ask("GET", "auth/token/lookup-self", token=token, namespace="tok-one").status == 200
    for namespace in ("tok-two", ""):
        assert api.ask("GET", "auth/token/lookup-self", token=token, namespace=namespace).status == 403
        assert api.ask("POST", "auth/token/lookup", {"token": token}, namespace=namespace).status == 403
        refused = api.ask("POST", "auth/token/lookup-accessor", {"accessor": accessor}, namespace=namespace)
        assert refused.status == 400
        api.done("POST", "auth/token/revoke", {"token": token}, namespace=namespace)
    assert api.ask("GET", "auth/token/lookup-self", token=token, namespace="tok-one").status == 200


def test_revoking_acts_on_the_next_request_whichever_worker_takes_it(api: Api):
    for _ in range(20):
        token = str(created(api, {"policies": ["default"], "ttl": "1h"})["client_token"])
        lines = [Api(api.server, token) for _ in range(4)]
        assert {line.ask("GET", "auth/token/lookup-self").status for line in lines} == {200}
        api.done("POST", "auth/token/revoke", {"token": token})
        assert {line.ask("GET", "auth/token/lookup-self").status for line in lines} == {403}
        for line in lines:
            line.close()
