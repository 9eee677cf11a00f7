"""``auth/token/dies-with``: what a revocation would end, told beforehand, to whom it concerns."""

from __future__ import annotations

import pytest

from tests.core.system.conftest import Api

PATH = "auth/token/dies-with"
MAKE = (
    'path "auth/token/create" { capabilities = ["update"] }\npath "cubbyhole/x" { capabilities = ["read"] }\n'
)
OWN = MAKE + f'path "{PATH}" {{ capabilities = ["update"] }}\n'
ANY = MAKE + f'path "{PATH}" {{ capabilities = ["update", "sudo"] }}\n'


def child(api: Api, parent: str, **more: object) -> dict[str, str]:
    reply = api.ask("POST", "auth/token/create", {"ttl": "1h", **more}, token=parent)
    assert reply.status == 200, reply
    made: dict[str, str] = reply.body["auth"]
    return made


def test_children_are_told_with_their_end_and_whether_more_is_below(api: Api):
    parent = api.token_with(OWN, ttl="1h")
    first, second = (child(api, parent, display_name=name) for name in ("one", "two"))
    child(api, first["client_token"])
    about = api.data("POST", PATH, {}, token=parent)
    assert about["counts"] == {"tokens": 2, "leases": 0, "complete": True}
    assert (about["leases"], about["next"]) == ([], "")
    assert {row["accessor"]: row["more_below"] for row in about["tokens"]} == {
        first["accessor"]: True,
        second["accessor"]: False,
    }
    assert {row["display_name"] for row in about["tokens"]} == {"token-one", "token-two"}
    assert all(row["expires_at"].endswith("Z") for row in about["tokens"])
    assert first["client_token"] not in str(about)


def test_orphans_and_the_dead_are_not_among_them(api: Api):
    parent = api.token_with(OWN + 'path "auth/token/revoke" { capabilities = ["update"] }\n', ttl="1h")
    dead, kept = child(api, parent), child(api, parent)
    api.ask("POST", "auth/token/create-orphan", {"ttl": "1h"})
    api.done("POST", "auth/token/revoke", {"token": dead["client_token"]})
    rows = api.data("POST", PATH, {}, token=parent)["tokens"]
    assert [row["accessor"] for row in rows] == [kept["accessor"]]


def test_the_pages_tell_each_child_once(api: Api):
    parent = api.token_with(OWN, ttl="1h")
    made = {child(api, parent)["accessor"] for _ in range(5)}
    seen, after, pages = [], "", 0
    while pages == 0 or after:
        about = api.data("POST", PATH, {"after": after, "limit": 2}, token=parent)
        assert len(about["tokens"]) <= 2
        seen += [row["accessor"] for row in about["tokens"]]
        after, pages = about["next"], pages + 1
    assert (sorted(seen), pages) == (sorted(made), 3)


def test_ones_own_token_may_be_named_in_any_way(api: Api):
    parent = api.token_with(OWN, ttl="1h")
    own = api.data("POST", "auth/token/lookup", {"token": parent})["accessor"]
    for body in ({}, {"token": parent}, {"accessor": own}):
        assert api.data("POST", PATH, body, token=parent)["accessor"] == own


def test_anothers_needs_sudo_and_a_guess_learns_nothing_without(api: Api):
    mine, other = api.token_with(OWN, ttl="1h"), api.token_with(MAKE, ttl="1h")
    accessor = api.data("POST", "auth/token/lookup", {"token": other})["accessor"]
    bodies = [{"token": other}, {"accessor": accessor}, {"token": "hvs.guess"}, {"accessor": "guess"}]
    answers = [api.ask("POST", PATH, body, token=mine) for body in bodies]
    assert {answer.status for answer in answers} == {403}
    assert len({str(answer.body["errors"]) for answer in answers}) == 1
    for body in bodies[:2]:
        assert api.data("POST", PATH, body, token=api.token_with(ANY, ttl="1h"))["accessor"] == accessor


def test_a_policy_must_allow_it_even_for_ones_own(api: Api):
    assert api.ask("POST", PATH, {}, token=api.token_with(MAKE, ttl="1h")).status == 403


def test_a_token_that_is_gone_is_a_bad_token(api: Api):
    reply = api.ask("POST", PATH, {"token": "hvs.nobody"})
    assert (reply.status, reply.body["errors"]) == (403, ["bad token"])
    assert api.ask("POST", PATH, {"accessor": "nobody"}).status == 400


def test_nothing_dies_with_a_batch_token(api: Api):
    batch = child(api, "root", type="batch", policies=["default"])["client_token"]
    about = api.data("POST", PATH, {"token": batch})
    assert (about["tokens"], about["leases"], about["counts"]["tokens"]) == ([], [], 0)


@pytest.mark.parametrize(
    "body", [{"token": "a", "accessor": "b"}, {"limit": 1001}, {"limit": -1}, {"after": "x" * 4000}], ids=str
)
def test_odd_questions_are_refused(api: Api, body: dict[str, object]):
    assert api.ask("POST", PATH, body).status == 400
