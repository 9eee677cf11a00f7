"""What people write into identity gives them nothing that was not meant for them."""

from __future__ import annotations

import pytest

from tests.core.identity.conftest import Api, People, open_people
from tests.core.system.test_tokens import SPELLINGS

ALL = 'path "identity/*" { capabilities = ["create", "read", "update", "delete", "list"] }\n'


@pytest.mark.parametrize("name", SPELLINGS, ids=ascii)
@pytest.mark.parametrize("path", ["identity/entity", "identity/group"])
@pytest.mark.parametrize("among", [lambda n: ["default", n], str], ids=["list", "text"])
def test_nobody_becomes_root_by_identity(people: People, word: str, path: str, name: str, among):
    reply = people.ask("POST", path, {"name": word, "policies": among(name)})
    assert reply.status == 400, reply
    assert people.ask("GET", f"{path}/name/{word}").status == 404
    people.done("POST", path, {"name": word, "policies": ["default"]})
    assert people.ask("POST", path, {"name": word, "policies": among(name)}).status == 400
    assert people.data("GET", f"{path}/name/{word}")["policies"] == ["default"]
    people.done("DELETE", f"{path}/name/{word}")


# Templates

BAD_VALUES = ["*", "+", "a/b", "..", "a/../b", ".", "moun*", "{{identity.entity.id}}", "mounts\n"]


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
@pytest.mark.parametrize("by", ["name", "metadata.m", "alias"])
def test_a_value_with_a_meaning_in_paths_grants_nothing(people: People, word: str, by: str, value: str):
    token, entity = people.person("ann")
    where = by if by != "alias" else f"aliases.{people.accessor}.name"
    text = f'path "sys/{{{{identity.entity.{where}}}}}" {{ capabilities = ["read", "list"] }}'
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [people.policy(word, text)]})
    if by == "alias":
        alias = people.data("GET", f"identity/entity/id/{entity}")["aliases"][0]["id"]
        people.done("POST", f"identity/entity-alias/id/{alias}", {"name": value})
    elif by == "name":
        people.done("POST", f"identity/entity/id/{entity}", {"name": value})
    else:
        people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"m": value}})
    for path in ("sys/mounts", "sys/auth", "sys/policies/acl/x", f"sys/{entity}"):
        assert people.ask("GET", path, token=token).status == 403, path
    people.done("DELETE", f"identity/entity/id/{entity}")


def test_a_plain_value_is_filled_in_and_follows_the_entity_at_once(people: People, word: str):
    token, entity = people.person("ann")
    text = 'path "sys/{{identity.entity.metadata.may}}" { capabilities = ["read"] }'
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [people.policy(word, text)]})
    assert not people.may(token, "GET", "sys/mounts")
    people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"may": "mounts"}})
    assert people.may(token, "GET", "sys/mounts") and not people.may(token, "GET", "sys/auth")
    people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"may": "auth"}})
    assert people.may(token, "GET", "sys/auth") and not people.may(token, "GET", "sys/mounts")


def test_a_denial_that_cannot_be_filled_in_denies_its_whole_beginning(people: People, word: str):
    text = (
        'path "cubbyhole/*" { capabilities = ["read", "update"] }\n'
        'path "cubbyhole/of/{{identity.entity.metadata.m}}" { capabilities = ["deny"] }'
    )
    people.add("ann", token_policies=people.policy(word, text), token_no_default_policy=True)
    auth = people.log_in("ann")
    token, entity = auth["client_token"], auth["entity_id"]
    people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"m": "one"}})
    assert not people.may(token, "GET", "cubbyhole/of/one") and people.may(token, "GET", "cubbyhole/of/two")
    people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"m": "*"}})
    assert not people.may(token, "GET", "cubbyhole/of/one") and not people.may(
        token, "GET", "cubbyhole/of/two"
    )
    assert people.may(token, "GET", "cubbyhole/other")


def test_groups_in_templates_are_those_the_entity_is_in(people: People, word: str):
    token, entity = people.person("ann")
    mine = people.data("POST", "identity/group", {"name": f"{word}m", "member_entity_ids": [entity]})["id"]
    other = people.data("POST", "identity/group", {"name": f"{word}o", "metadata": {"p": "auth"}})["id"]
    rules = (
        f'path "sys/{{{{identity.groups.ids.{mine}.metadata.p}}}}" {{ capabilities = ["read"] }}\n'
        f'path "sys/{{{{identity.groups.names.{word}o.metadata.p}}}}" {{ capabilities = ["read"] }}'
    )
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [people.policy(word, rules)]})
    people.done("POST", f"identity/group/id/{mine}", {"metadata": {"p": "mounts"}})
    assert people.may(token, "GET", "sys/mounts") and not people.may(token, "GET", "sys/auth")
    people.done("POST", f"identity/group/id/{other}", {"member_entity_ids": [entity]})
    assert people.may(token, "GET", "sys/auth")


def test_a_template_speaks_of_the_alias_at_exactly_that_mount(people: People, word: str, api: Api):
    other = open_people(api, f"{word}b")
    text = f'path "sys/{{{{identity.entity.aliases.{other.accessor}.name}}}}" {{ capabilities = ["read"] }}'
    people.policy(word, text)
    people.add("mounts", token_policies=word)
    assert not people.may(people.log_in("mounts")["client_token"], "GET", "sys/mounts")
    other.add("mounts", token_policies=word)
    assert other.may(other.log_in("mounts")["client_token"], "GET", "sys/mounts")
    other.done("DELETE", f"sys/auth/{other.mount}")


def test_a_policy_without_an_entity_behind_it_fills_in_nothing(people: People):
    token = people.api.token_with('path "sys/{{identity.entity.name}}" { capabilities = ["read"] }')
    for path in ("sys/mounts", "sys/", "sys"):
        assert people.ask("GET", path, token=token).status == 403


# Escalation


def test_an_identity_admin_cannot_speak_for_a_mount_that_is_not_theirs(people: People, word: str):
    writer = people.api.token_with(ALL, name=f"{word}w")
    victim = people.data("POST", "identity/entity", {"name": f"{word}v", "policies": ["admin"]})["id"]
    body = {"name": "eve", "mount_accessor": people.accessor, "canonical_id": victim}
    assert people.ask("POST", "identity/entity-alias", body, writer).status == 403
    people.person("eve")
    assert people.ask("POST", "identity/entity-alias", body, writer).status == 403
    assert people.data("GET", f"identity/entity/id/{victim}")["aliases"] == []
    group = {"name": "admins", "mount_accessor": people.accessor}
    assert people.ask("POST", "identity/group-alias", group, writer).status == 403
    more = f'path "auth/{people.mount}/*" {{ capabilities = ["update"] }}'
    owner = people.api.token_with(ALL + more, name=f"{word}o")
    assert people.ask("POST", "identity/group-alias", group, owner).status == 200
    assert people.ask("POST", "identity/entity-alias", {**body, "name": "new"}, owner).status == 200


def test_an_alias_does_not_move_between_mounts_by_one_mounts_owner(people: People, word: str, api: Api):
    other = open_people(api, f"{word}b")
    _, entity = people.person("ann")
    alias = people.data("GET", f"identity/entity/id/{entity}")["aliases"][0]["id"]
    mine = f'path "auth/{other.mount}/*" {{ capabilities = ["update"] }}'
    owner = api.token_with(ALL + mine, name=f"{word}o")
    body = {"name": "ann", "mount_accessor": other.accessor}
    assert people.ask("POST", f"identity/entity-alias/id/{alias}", body, owner).status == 403
    assert people.log_in("ann")["entity_id"] == entity
    other.done("DELETE", f"sys/auth/{other.mount}")


def test_merging_takes_sudo_on_both(people: People, word: str):
    _, mine = people.person("ann")
    admin = people.data("POST", "identity/entity", {"name": f"{word}a", "policies": ["admin"]})["id"]
    body = {"from_entity_ids": [mine], "to_entity_id": admin}
    writer = people.api.token_with(ALL, name=f"{word}w")
    assert people.ask("POST", "identity/entity/merge", body, writer).status == 403
    half = f'path "identity/entity/id/{mine}" {{ capabilities = ["update", "sudo"] }}'
    writer = people.api.token_with(ALL + half, name=f"{word}h")
    assert people.ask("POST", "identity/entity/merge", body, writer).status == 403
    assert people.data("GET", f"identity/entity/id/{admin}")["merged_entity_ids"] is None
    whole = ALL.replace('"list"', '"list", "sudo"')
    writer = people.api.token_with(whole, name=f"{word}s")
    assert people.ask("POST", "identity/entity/merge", body, writer).status == 204
    assert people.log_in("ann")["entity_id"] == admin


def test_tokens_of_a_merged_entity_act_as_the_one_that_stays(people: People, word: str):
    token, gone = people.person("ann")
    door = people.policy(f"{word}-door", 'path "sys/mounts" { capabilities = ["read"] }')
    stays = people.data("POST", "identity/entity", {"name": f"{word}s", "policies": [door]})["id"]
    assert not people.may(token, "GET", "sys/mounts")
    people.done("POST", "identity/entity/merge", {"from_entity_ids": [gone], "to_entity_id": stays})
    assert people.may(token, "GET", "sys/mounts")
    last = people.data("POST", "identity/entity", {"name": f"{word}l"})["id"]
    people.done("POST", "identity/entity/merge", {"from_entity_ids": [stays], "to_entity_id": last})
    assert not people.may(token, "GET", "sys/mounts")
    assert people.ask("GET", "auth/token/lookup-self", token=token).status == 200
    people.done("DELETE", f"identity/entity/id/{last}")
    assert people.ask("GET", "auth/token/lookup-self", token=token).status == 403


# Namespaces


def test_identities_do_not_cross_namespaces(people: People, api: Api, word: str):
    """Another namespace's entities, groups and aliases are not there, for its readers, writers and members alike."""
    _, entity = people.person("ann")
    group = people.data("POST", "identity/group", {"name": word})["id"]
    alias = people.data("GET", f"identity/entity/id/{entity}")["aliases"][0]["id"]
    api.done("PUT", f"sys/namespaces/{word}")
    below = People(api, word, "", f"{word}/")
    for path in (
        f"entity/id/{entity}",
        f"group/id/{group}",
        f"entity-alias/id/{alias}",
        f"group/name/{word}",
    ):
        assert below.ask("GET", f"identity/{path}").status == 404
    assert below.ask("POST", f"identity/entity/id/{entity}", {"policies": ["x"]}).status == 400
    assert below.ask("POST", "identity/group", {"name": "g", "member_entity_ids": [entity]}).status == 400
    assert below.ask("POST", "identity/group", {"name": "g", "member_group_ids": [group]}).status == 400
    body = {"name": "x", "mount_accessor": people.accessor}
    assert below.ask("POST", "identity/entity-alias", body).status == 400
    assert below.ask("DELETE", f"identity/entity/id/{entity}").status == 204
    assert people.data("GET", f"identity/entity/id/{entity}")["id"] == entity
    api.done("DELETE", f"sys/namespaces/{word}")


def test_a_token_from_above_has_its_entitys_policies_below(people: People, api: Api, word: str):
    token, entity = people.person("ann")
    api.done("PUT", f"sys/namespaces/{word}")
    door = people.policy(f"{word}-door", f'path "{word}/sys/mounts" {{ capabilities = ["read"] }}')
    ask = {"token": token, "namespace": word}
    assert api.ask("GET", "sys/mounts", **ask).status == 403
    people.done("POST", f"identity/entity/id/{entity}", {"policies": [door]})
    assert api.ask("GET", "sys/mounts", **ask).status == 200
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert api.ask("GET", "sys/mounts", **ask).status == 403
    api.done("DELETE", f"sys/namespaces/{word}")
