"""A login finds its entity, and what the entity is given or denied acts on the next request."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.core.identity.conftest import PASSWORD, People
from tests.peer.client import Client


@pytest.fixture
def door(people: People, word: str) -> str:
    """A policy that opens ``sys/mounts`` and nothing else."""
    return people.policy(f"{word}-door", 'path "sys/mounts" { capabilities = ["read"] }')


def test_logging_in_twice_is_being_the_same_entity(people: People):
    people.add("ann")
    first, second = people.log_in("ann"), people.log_in("ann")
    assert first["entity_id"] and first["entity_id"] == second["entity_id"]
    about = people.data("GET", f"identity/entity/id/{first['entity_id']}")
    assert [(alias["name"], alias["mount_accessor"]) for alias in about["aliases"]] == [
        ("ann", people.accessor)
    ]


def test_first_logins_at_once_make_one_entity(people: People):
    people.add("ann")

    def log_in(_: int) -> str:
        client = Client(people.api.server.address)  # a connection serves one thread
        body = json.dumps({"password": PASSWORD}).encode()
        reply = client.send("POST", f"/v1/auth/{people.mount}/login/ann", {}, body)
        client.close()
        assert reply.status == 200, reply
        return str(reply.body["auth"]["entity_id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(log_in, range(16)))) == 1
    keys = people.data("LIST", "identity/entity-alias/id")["key_info"].values()
    assert [key["name"] for key in keys if key["mount_accessor"] == people.accessor] == ["ann"]


def test_a_policy_of_the_entity_acts_on_the_next_request_and_so_does_taking_it_away(
    people: People, door: str
):
    token, entity = people.person("ann")
    for _ in range(3):
        assert not people.may(token, "GET", "sys/mounts")
        people.done("POST", f"identity/entity/id/{entity}", {"policies": [door]})
        assert people.may(token, "GET", "sys/mounts")
        people.done("POST", f"identity/entity/id/{entity}", {"policies": []})


def test_a_disabled_entity_is_refused_at_once_and_comes_back(people: People):
    token, entity = people.person("ann")
    assert people.may(token, "GET", "auth/token/lookup-self")
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert people.ask("GET", "auth/token/lookup-self", token=token).status == 403
    login = people.ask("POST", f"auth/{people.mount}/login/ann", {"password": PASSWORD}, "")
    assert login.status == 403 and "permission denied" in login.body["errors"][0]
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": False})
    assert people.may(token, "GET", "auth/token/lookup-self")


def test_every_worker_hears_of_it_before_the_next_request(people: People, door: str):
    """A connection stays with its worker, so each of these asks one of them."""
    token, entity = people.person("ann")
    for number in range(6):
        allowed = number % 2 == 0
        people.done("POST", f"identity/entity/id/{entity}", {"policies": [door] if allowed else []})
        for _ in range(5):
            client = Client(people.api.server.address)
            reply = client.send("GET", "/v1/sys/mounts", {"X-Vault-Token": token}, None)
            client.close()
            assert reply.status == (200 if allowed else 403)


def test_a_batch_token_stands_and_falls_with_its_entity(people: People, door: str):
    people.add("ann", token_type="batch")
    auth = people.log_in("ann")
    token, entity = auth["client_token"], auth["entity_id"]
    assert auth["token_type"] == "batch" and entity
    assert not people.may(token, "GET", "sys/mounts")
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [door]})
    assert people.may(token, "GET", "sys/mounts")
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert people.ask("GET", "auth/token/lookup-self", token=token).status == 403


def test_tokens_of_a_deleted_entity_are_refused_and_the_next_login_makes_another(people: People):
    token, entity = people.person("ann")
    people.done("DELETE", f"identity/entity/id/{entity}")
    assert people.ask("GET", "auth/token/lookup-self", token=token).status == 403
    assert people.log_in("ann")["entity_id"] not in ("", entity)


def test_children_of_a_token_are_of_the_same_entity_but_orphans_are_of_none(people: People, word: str):
    create = people.policy(
        f"{word}-create", 'path "auth/token/create*" { capabilities = ["update", "sudo"] }'
    )
    token, entity = people.person("ann")
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [create]})
    child = people.ask("POST", "auth/token/create", {}, token).body["auth"]
    assert child["entity_id"] == entity and child["identity_policies"] == [create]
    assert child["token_policies"] == ["default"]
    orphan = people.ask("POST", "auth/token/create-orphan", {}, token).body["auth"]
    assert orphan["entity_id"] == "" and "identity_policies" not in orphan
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert people.ask("GET", "auth/token/lookup-self", token=child["client_token"]).status == 403


def test_a_child_is_not_given_a_policy_that_its_maker_has_by_identity_only(people: People, word: str):
    create = people.policy(f"{word}-create", 'path "auth/token/create" { capabilities = ["update"] }')
    token, entity = people.person("ann")
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [create]})
    reply = people.ask("POST", "auth/token/create", {"policies": [create]}, token)
    assert reply.status == 400 and "subset of parent" in reply.body["errors"][0]


def test_group_policies_come_with_the_membership_and_go_with_it(people: People, door: str, word: str):
    token, entity = people.person("ann")
    group = people.data("POST", "identity/group", {"name": word, "policies": [door]})["id"]
    assert not people.may(token, "GET", "sys/mounts")
    people.done("POST", f"identity/group/id/{group}", {"member_entity_ids": [entity]})
    assert people.may(token, "GET", "sys/mounts")
    people.done("POST", f"identity/group/id/{group}", {"member_entity_ids": []})
    assert not people.may(token, "GET", "sys/mounts")


def test_policies_of_groups_above_apply_too(people: People, door: str, word: str):
    token, entity = people.person("ann")
    inner = people.data("POST", "identity/group", {"name": f"{word}-in", "member_entity_ids": [entity]})["id"]
    middle = people.data("POST", "identity/group", {"name": f"{word}-mid", "member_group_ids": [inner]})["id"]
    top = people.data(
        "POST", "identity/group", {"name": f"{word}-top", "member_group_ids": [middle], "policies": [door]}
    )["id"]
    assert people.may(token, "GET", "sys/mounts")
    assert people.data("GET", f"identity/entity/id/{entity}")["inherited_group_ids"] == [middle, top]
    people.done("DELETE", f"identity/group/id/{middle}")
    assert not people.may(token, "GET", "sys/mounts")
    assert people.data("GET", f"identity/group/id/{top}")["member_group_ids"] is None


def test_a_deleted_group_gives_nothing_and_is_not_shown(people: People, door: str, word: str):
    token, entity = people.person("ann")
    body = {"name": word, "policies": [door], "member_entity_ids": [entity]}
    group = people.data("POST", "identity/group", body)["id"]
    assert people.may(token, "GET", "sys/mounts")
    people.done("DELETE", f"identity/group/id/{group}")
    assert not people.may(token, "GET", "sys/mounts")
    assert people.data("GET", f"identity/entity/id/{entity}")["group_ids"] == []
    again = people.data("POST", "identity/group", {"name": word, "policies": [door]})["id"]
    assert again != group and not people.may(token, "GET", "sys/mounts")


def test_the_token_tells_what_its_entity_adds(people: People, door: str):
    token, entity = people.person("ann")
    about = people.data("GET", "auth/token/lookup-self", token=token)
    assert about["entity_id"] == entity and "identity_policies" not in about
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [door]})
    about = people.data("GET", "auth/token/lookup-self", token=token)
    assert about["identity_policies"] == [door] and about["policies"] == ["default"]
    assert about["external_namespace_policies"] == {}
    renewed = people.ask("POST", "auth/token/renew-self", {}, token).body["auth"]
    assert renewed["identity_policies"] == [door] and renewed["policies"] == sorted(["default", door])


def test_capabilities_and_explanations_know_the_entitys_policies(people: People, door: str):
    token, entity = people.person("ann")
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [door]})
    ask = {"paths": ["sys/mounts", f"identity/entity/id/{entity}", "identity/entity/id/another"]}
    expected = {
        "sys/mounts": ["read"],
        f"identity/entity/id/{entity}": ["read"],
        "identity/entity/id/another": ["deny"],
    }
    assert people.data("POST", "sys/capabilities-self", ask, token) == expected
    assert people.data("POST", "sys/capabilities", {**ask, "token": token}) == expected
    why = people.data("POST", "sys/policies/explain", {"path": "sys/mounts"}, token)
    assert why["allowed"] and why["policy"] == door
    why = people.data("POST", "sys/policies/explain", {"path": f"identity/entity/id/{entity}"}, token)
    assert why["allowed"] and why["policy"] == "default"
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert people.ask("POST", "sys/capabilities", {**ask, "token": token}).status == 400


def test_external_groups_follow_what_a_login_says(people: People, word: str):
    """Only an auth method can put entities into an external group."""
    token, entity = people.person("ann")
    body = {"name": word, "type": "external", "member_entity_ids": [entity]}
    assert people.ask("POST", "identity/group", body).status == 400
    made = people.data("POST", "identity/group", {"name": word, "type": "external"})["id"]
    assert people.ask("POST", f"identity/group/id/{made}", {"member_entity_ids": [entity]}).status == 400
    assert people.ask("POST", f"identity/group/id/{made}", {"type": "internal"}).status == 400
    assert people.data("GET", f"identity/group/id/{made}")["member_entity_ids"] is None
    assert people.may(token, "GET", "auth/token/lookup-self")


def test_names_differ_without_regard_to_ascii_case_only(people: People, word: str):
    made = people.data("POST", "identity/entity", {"name": f"{word}Ann"})["id"]
    assert people.data("GET", f"identity/entity/name/{word}aNN")["id"] == made
    kelvin = people.data("POST", "identity/entity", {"name": f"{word}\u212aim"})["id"]
    assert people.ask("GET", f"identity/entity/name/{word}kim").status == 404
    for entity in (made, kelvin):
        people.done("DELETE", f"identity/entity/id/{entity}")


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "a b", "%2e%2e", "id", "*", "+", "name/x", "é", "{{identity.entity.id}}"]
)
def test_any_name_is_just_a_name(people: People, word: str, name: str):
    made = people.data("POST", "identity/entity", {"name": f"{word}{name}"})["id"]
    assert people.data("GET", f"identity/entity/name/{quote(word + name, safe='')}")["id"] == made
    people.done("DELETE", f"identity/entity/name/{quote(word + name, safe='')}")
    assert people.ask("GET", f"identity/entity/id/{made}").status == 404


@pytest.mark.parametrize("given", ["x/y", "../group/x", "a\u0000b", "x" * 200, " "])
def test_an_id_is_one_plain_segment(people: People, given: str):
    reply = people.ask("POST", "identity/lookup/entity", {"id": given})
    assert reply.status in (204, 400), reply
    reply = people.ask("POST", "identity/entity/batch-delete", {"entity_ids": [given]})
    assert reply.status in (204, 400), reply
    assert json.dumps(reply.body or {}).count("Traceback") == 0
