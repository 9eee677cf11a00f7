"""Entities, their aliases, groups and theirs, lookup and merge: as the peer answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, WRONG, Differs, Step

NOT_500 = Differs("no-5xx-for-bad-input", status=400)
UNKNOWN = Differs("unknown-fields", status=400, body=False)
ENTITY = "identity/entity"
GROUP = "identity/group"


@pytest.fixture
def people(pair) -> Iterator[None]:
    """A userpass mount at ``${m}`` with its accessor saved, and two users."""
    pair.run(
        POST("sys/auth/${m}", {"type": "userpass"}, 204),
        GET("sys/auth/${m}", save={"accessor": "data.accessor"}),
        POST("auth/${m}/users/ann", {"password": "correct horse battery", "token_policies": "p1"}, 204),
        POST("auth/${m}/users/bob", {"password": "correct horse battery"}, 204),
    )
    yield
    for side in (pair.ours, pair.peer):
        root = {"X-Vault-Token": "root"}
        for kind in (ENTITY, GROUP):
            listed = side.client.send("LIST", f"/v1/{kind}/id", root, None).body
            for name in ((listed or {}).get("data") or {}).get("keys") or []:
                side.client.send("DELETE", f"/v1/{kind}/id/{name}", root, None)


def log_in(name: str, status: int = 200, **more) -> Step:
    body = {"password": "correct horse battery"}
    return POST(f"auth/${{m}}/login/{name}", body, status, token=None, **more)


def test_a_login_and_its_entity(pair, people):
    pair.run(
        log_in("ann", save={"e": "auth.entity_id", "t": "auth.client_token"}),
        GET("identity/entity/id/${e}"),
        GET("auth/token/lookup-self", token="${t}"),
        POST("identity/entity/id/${e}", {"policies": "p2,p1", "metadata": {"team": "x"}}, 204),
        GET("identity/entity/id/${e}"),
        GET("identity/entity/id/${e}", token="${t}"),
        GET("auth/token/lookup-self", token="${t}"),
        POST("auth/token/lookup", {"token": "${t}"}),
        POST("auth/token/renew-self", {}, token="${t}"),
        log_in("ann", save={"t2": "auth.client_token"}),
        POST("auth/token/create", {}, 403, token="${t}"),
    )


def test_disabled_and_deleted_entities(pair, people):
    pair.run(
        log_in("ann", save={"e": "auth.entity_id", "t": "auth.client_token"}),
        POST("identity/entity/id/${e}", {"disabled": True, "policies": ["x"]}, 204),
        GET("auth/token/lookup-self", 403, token="${t}"),
        POST("auth/token/lookup", {"token": "${t}"}),
        POST("sys/capabilities", {"token": "${t}", "paths": ["a"]}, 400),
        log_in("ann", 403),
        POST("identity/entity/id/${e}", {"disabled": False}, 204),
        GET("auth/token/lookup-self", token="${t}"),
        POST("sys/capabilities", {"token": "${t}", "paths": ["auth/token/lookup-self"]}),
        DELETE("identity/entity/id/${e}", 204),
        GET("auth/token/lookup-self", 403, token="${t}"),
        POST("sys/capabilities", {"token": "${t}", "paths": ["a"]}, 400),
        POST("auth/token/lookup", {"token": "${t}"}),
        log_in("ann"),
    )


def test_children_and_identity(pair, people):
    rules = 'path "auth/token/create*" { capabilities = ["update", "sudo"] }'
    pair.run(
        POST("sys/policies/acl/${m}", {"policy": rules}, 204),
        log_in("bob", save={"e": "auth.entity_id", "t": "auth.client_token"}),
        POST("identity/entity/id/${e}", {"policies": ["${m}"]}, 204),
        POST("auth/token/create", {}, token="${t}", save={"c": "auth.client_token"}),
        GET("auth/token/lookup-self", token="${c}"),
        POST("auth/token/create-orphan", {}, token="${t}"),
        POST("sys/capabilities-self", {"paths": ["auth/token/create", "${m}/x"]}, token="${t}"),
        GET("identity/entity/name/${m}", 403, token="${t}"),
    )


def test_writing_entities(pair, people):
    pair.run(
        POST(ENTITY, {}, save={"gen": "data.id"}),
        GET("identity/entity/id/${gen}"),
        POST(
            ENTITY,
            {"name": "${m}Bob", "metadata": {"a": "b"}, "policies": ["z", "a", "z"]},
            save={"b": "data.id"},
        ),
        GET("identity/entity/id/${b}"),
        POST(ENTITY, {"name": "${m}bob", "disabled": True}, 204),
        GET("identity/entity/name/${m}BOB"),
        POST("identity/entity/name/${m}carl", {"policies": "a"}, save={"c": "data.id"}),
        POST("identity/entity/name/${m}carl", {"policies": "b"}, 204),
        GET("identity/entity/name/${m}carl"),
        POST("identity/entity/id/${c}", {"name": "${m}bob"}, 400),
        POST("identity/entity/id/${c}", {"name": ""}, 204),
        POST("identity/entity/id/${c}", {"name": "${m}karl"}, 204),
        GET("identity/entity/name/${m}carl", 404),
        GET("identity/entity/name/${m}karl"),
        POST(ENTITY, {"name": "${m}x=y", "metadata": "x=y"}),
        GET("identity/entity/name/${m}x=y"),
        POST(ENTITY, {"name": "${m}a/b"}),
        GET("identity/entity/name/${m}a/b"),
        DELETE("identity/entity/name/${m}a/b", 204),
        GET("identity/entity/name/${m}a/b", 404),
        GET("identity/entity/name/${m}bob"),
    )


def test_entities_that_are_refused(pair, people):
    pair.run(
        POST(ENTITY, {"name": "${m}r", "policies": ["root"]}, 400),
        POST(ENTITY, {"name": "${m}r", "metadata": "x"}, 400),
        POST(ENTITY, {"name": "${m}r", "metadata": {"a": "x" * 600}}, 500, differs=NOT_500, ignore="errors"),
        POST(
            ENTITY,
            {"name": "${m}r", "metadata": {str(n): "x" for n in range(65)}},
            500,
            differs=NOT_500,
            ignore="errors",
        ),
        GET("identity/entity/name/${m}r", 404),
        POST(ENTITY, {"name": "${m}u", "colour": "red"}, 200, differs=UNKNOWN),
        POST(ENTITY, {"id": "nope", "name": "${m}r"}, 400),
        POST("identity/entity/id/nope", {"name": "${m}r"}, 400),
        GET("identity/entity/id/nope", 404),
        GET("identity/entity/name/${m}nope", 404),
        DELETE("identity/entity/id/nope", 204),
        DELETE("identity/entity/name/${m}nope", 204),
        POST("identity/entity/batch-delete", {"entity_ids": ["nope"]}, 204),
        POST("identity/entity/batch-delete", {}, 400),
    )


def test_batch_delete(pair, people):
    pair.run(
        POST(ENTITY, {"name": "${m}1"}, save={"one": "data.id"}),
        POST(ENTITY, {"name": "${m}2"}, save={"two": "data.id"}),
        POST("identity/entity/batch-delete", {"entity_ids": ["${one}", "nope", "${two}"]}, 204),
        GET("identity/entity/id/${one}", 404),
        GET("identity/entity/name/${m}2", 404),
    )


def test_entity_aliases(pair, people):
    alias = "identity/entity-alias"
    pair.run(
        POST(ENTITY, {"name": "${m}b"}, save={"b": "data.id"}),
        POST(ENTITY, {"name": "${m}c"}, save={"c": "data.id"}),
        POST(alias, {}, 400),
        POST(alias, {"name": "x"}, 400),
        POST(alias, {"name": "x", "mount_accessor": "bad"}, 400),
        POST(alias, {"name": "x", "mount_accessor": "${accessor}"}),
        POST(alias, {"name": "x", "mount_accessor": "${accessor}"}, 204),
        POST(alias, {"name": "y", "mount_accessor": "${accessor}", "canonical_id": "nope"}, 400),
        POST(
            alias,
            {
                "name": "y",
                "mount_accessor": "${accessor}",
                "canonical_id": "${b}",
                "custom_metadata": {"k": "v"},
            },
            save={"a": "data.id"},
        ),
        POST(alias, {"name": "y2", "mount_accessor": "${accessor}", "canonical_id": "${b}"}, 400),
        POST(alias, {"name": "x", "mount_accessor": "${accessor}", "canonical_id": "${b}"}, 400),
        GET("identity/entity-alias/id/${a}"),
        GET("identity/entity/id/${b}"),
        POST("identity/entity-alias/id/${a}", {"name": "yy"}),
        POST("identity/entity-alias/id/${a}", {"custom_metadata": {"n": "m"}}),
        GET("identity/entity-alias/id/${a}"),
        POST("identity/entity-alias/id/${a}", {"canonical_id": "${c}"}),
        GET("identity/entity-alias/id/${a}"),
        GET("identity/entity/id/${b}"),
        GET("identity/entity/id/${c}"),
        POST("identity/entity-alias/id/nope", {"name": "q", "mount_accessor": "${accessor}"}, 400),
        GET("identity/entity-alias/id/nope", 404),
        DELETE("identity/entity-alias/id/nope", 204),
        DELETE("identity/entity-alias/id/${a}", 204),
        GET("identity/entity-alias/id/${a}", 404),
        GET("identity/entity/id/${c}"),
    )


def test_older_names_of_aliases(pair, people):
    pair.run(
        POST("identity/alias", {"name": "old", "mount_accessor": "${accessor}"}, save={"a": "data.id"}),
        GET("identity/alias/id/${a}", ignore="data.custom_metadata"),
        GET("identity/persona/id/${a}", ignore="data.custom_metadata"),
        POST("identity/alias/id/${a}", {"name": "older"}),
        GET("identity/entity-alias/id/${a}"),
        DELETE("identity/persona/id/${a}", 204),
        GET("identity/alias/id/${a}", 404),
    )


def test_a_prepared_alias_is_found_by_the_login(pair, people):
    pair.run(
        POST(ENTITY, {"name": "${m}ann", "policies": ["p9"]}, save={"e": "data.id"}),
        POST(
            "identity/entity-alias", {"name": "ANN", "mount_accessor": "${accessor}", "canonical_id": "${e}"}
        ),
        log_in("ann", save={"seen": "auth.entity_id"}),
        GET("identity/entity/id/${seen}", only=("data.name", "data.policies")),
    )


def test_aliases_of_a_mount_that_is_gone(pair, people):
    pair.run(
        log_in("ann", save={"e": "auth.entity_id"}),
        GET("identity/entity/id/${e}", save={"a": "data.aliases.0.id"}),
        DELETE("sys/auth/${m}", 204),
        GET("identity/entity/id/${e}"),
        GET("identity/entity-alias/id/${a}"),
        POST("identity/entity-alias/id/${a}", {"name": "q"}, 400),
        DELETE("identity/entity-alias/id/${a}", 204),
        GET("identity/entity/id/${e}"),
    )


def test_groups(pair, people):
    pair.run(
        log_in("ann", save={"e": "auth.entity_id", "t": "auth.client_token"}),
        POST(
            GROUP,
            {"name": "${m}G", "policies": "gp", "metadata": {"a": "b"}, "member_entity_ids": ["${e}"]},
            save={"g": "data.id"},
        ),
        GET("identity/group/id/${g}"),
        POST(GROUP, {"name": "${m}H", "policies": "hp", "member_group_ids": ["${g}"]}, save={"h": "data.id"}),
        GET("identity/group/name/${m}h"),
        GET("identity/group/id/${g}"),
        GET("identity/entity/id/${e}"),
        GET("auth/token/lookup-self", token="${t}"),
        log_in("ann"),
        POST("identity/group/id/${g}", {"member_group_ids": ["${h}"]}, 400),
        POST("identity/group/id/${g}", {"member_group_ids": ["${g}"]}, 500, differs=NOT_500),
        POST("identity/group/id/${g}", {"member_group_ids": ["nope"]}, 500, differs=NOT_500, ignore="errors"),
        POST(
            "identity/group/id/${g}", {"member_entity_ids": ["nope"]}, 500, differs=NOT_500, ignore="errors"
        ),
        POST("identity/group/id/${g}", {"policies": ["root"]}, 400),
        POST("identity/group/id/${g}", {"type": "external"}, 400),
        POST("identity/group/id/${g}", {"name": "${m}h"}, 400),
        POST("identity/group/id/nope", {"name": "${m}3"}, 400),
        POST(GROUP, {"name": "${m}3", "type": "bad"}, 400),
        POST(GROUP, {"name": "${m}h", "policies": "hp2"}, 204),
        GET("identity/group/id/${h}"),
        POST("identity/group/name/${m}n", {"policies": "a"}),
        POST("identity/group/name/${m}n", {"metadata": {"a": "b"}, "type": "internal"}, 204),
        GET("identity/group/name/${m}N"),
        DELETE("identity/group/name/${m}n", 204),
        GET("identity/group/name/${m}n", 404),
        DELETE("identity/group/id/${g}", 204),
        GET("identity/group/id/${g}", 404),
        GET("identity/group/id/${h}", ignore=("data.modify_index", "data.member_group_ids")),
        GET("auth/token/lookup-self", token="${t}"),
        GET("identity/group/id/nope", 404),
        DELETE("identity/group/name/${m}nope", 204),
    )


def test_external_groups_and_their_aliases(pair, people):
    alias = "identity/group-alias"
    pair.run(
        POST(ENTITY, {"name": "${m}e"}, save={"e": "data.id"}),
        POST(GROUP, {"name": "${m}i"}, save={"i": "data.id"}),
        POST(GROUP, {"name": "${m}X", "type": "external", "member_entity_ids": ["${e}"]}, 400),
        POST(GROUP, {"name": "${m}X", "type": "external", "policies": "xp"}, save={"x": "data.id"}),
        GET("identity/group/id/${x}"),
        POST("identity/group/id/${x}", {"member_entity_ids": ["${e}"]}, 400),
        POST("identity/group/id/${x}", {"member_group_ids": ["${i}"]}, 400),
        POST(alias, {}, 400),
        POST(alias, {"name": "devs"}, 400),
        POST(alias, {"name": "devs", "mount_accessor": "bad"}, 400),
        POST(alias, {"name": "devs", "mount_accessor": "${accessor}", "canonical_id": "nope"}, 400),
        POST(alias, {"name": "devs", "mount_accessor": "${accessor}", "canonical_id": "${i}"}, 400),
        POST(
            alias,
            {"name": "devs", "mount_accessor": "${accessor}", "canonical_id": "${x}"},
            save={"a": "data.id"},
        ),
        GET("identity/group-alias/id/${a}"),
        GET("identity/group/id/${x}"),
        POST(alias, {"name": "devs2", "mount_accessor": "${accessor}"}),
        POST(alias, {"name": "devs", "mount_accessor": "${accessor}"}, 400),
        POST("identity/group-alias/id/${a}", {"name": "devs9"}, 400),
        POST("identity/group-alias/id/${a}", {"name": "devs9", "mount_accessor": "${accessor}"}),
        POST("identity/group-alias/id/nope", {"name": "d", "mount_accessor": "${accessor}"}, 400),
        GET("identity/group-alias/id/nope", 404),
        DELETE("identity/group-alias/id/nope", 204),
        DELETE("identity/group-alias/id/${a}", 204),
        GET("identity/group/id/${x}", ignore="data.modify_index"),
    )


def test_lookup(pair, people):
    look = "identity/lookup/entity"
    pair.run(
        log_in("ann", save={"e": "auth.entity_id"}),
        POST(GROUP, {"name": "${m}g"}, save={"g": "data.id"}),
        POST(look, {}, 400),
        POST(look, {"id": "${e}"}),
        POST(look, {"name": "${m}nope"}, 204),
        POST(look, {"alias_id": "nope"}, 204),
        POST(look, {"alias_name": "ann"}, 400),
        POST(look, {"alias_mount_accessor": "${accessor}"}, 400),
        POST(look, {"alias_name": "ANN", "alias_mount_accessor": "${accessor}"}),
        POST(look, {"id": "${e}", "name": "n"}, 400),
        POST("identity/lookup/group", {}, 400),
        POST("identity/lookup/group", {"id": "${g}"}),
        POST("identity/lookup/group", {"name": "${m}G"}),
        POST("identity/lookup/group", {"name": "${m}nope"}, 204),
        POST("identity/lookup/group", {"alias_name": "nn"}, 400),
        POST("identity/lookup/group", {"id": "${g}", "name": "n"}, 400),
    )


def test_merging(pair, people):
    merge = "identity/entity/merge"
    pair.run(
        POST(ENTITY, {"name": "${m}1", "policies": ["a"], "metadata": {"x": "1"}}, save={"one": "data.id"}),
        POST(ENTITY, {"name": "${m}2", "policies": ["b"], "metadata": {"y": "3"}}, save={"two": "data.id"}),
        POST(
            "identity/entity-alias", {"name": "m2", "mount_accessor": "${accessor}", "canonical_id": "${two}"}
        ),
        POST(GROUP, {"name": "${m}g", "member_entity_ids": ["${two}"]}, save={"g": "data.id"}),
        POST(merge, {}, 400),
        POST(merge, {"from_entity_ids": ["${two}"]}, 400),
        POST(merge, {"from_entity_ids": ["${one}"], "to_entity_id": "${one}"}, 400),
        POST(merge, {"from_entity_ids": ["nope"], "to_entity_id": "${one}"}, 400),
        POST(merge, {"from_entity_ids": ["${two}"], "to_entity_id": "nope"}, 400),
        POST(merge, {"from_entity_ids": ["${two}"], "to_entity_id": "${one}"}, 204),
        GET("identity/entity/id/${one}"),
        GET("identity/entity/id/${two}", 404),
        GET("identity/group/id/${g}", ignore="data.modify_index"),
        log_in("ann", save={"e": "auth.entity_id", "t": "auth.client_token"}),
        POST(merge, {"from_entity_ids": ["${e}"], "to_entity_id": "${one}"}, 400, only="status"),
        GET("identity/entity/id/${e}"),
        POST(ENTITY, {"name": "${m}3", "policies": ["c"]}, save={"three": "data.id"}),
        POST(merge, {"from_entity_ids": ["${e}"], "to_entity_id": "${three}"}, 204),
        GET("auth/token/lookup-self", token="${t}"),
        log_in("ann"),
    )


@pytest.mark.parametrize(
    "path", ["entity", "group", "entity-alias", "group-alias", "lookup/entity", "lookup/group"]
)
def test_verbs_that_are_not_there(pair, path):
    pair.run(
        GET(f"identity/{path}", 405, differs=WRONG),
        LIST(f"identity/{path}", 404, differs=WRONG),
        DELETE(f"identity/{path}", 405, differs=WRONG),
        GET(f"identity/{path}/nothing", 404, differs=WRONG),
    )


def test_the_mount_itself(pair):
    pair.run(
        GET("sys/mounts/identity", only=("data.type", "data.description", "data.local")),
        DELETE("sys/mounts/identity", 400),
        POST("sys/remount", {"from": "identity", "to": "${m}"}, 400),
        POST("sys/mounts/${m}", {"type": "identity"}, 400),
    )


def test_lists(pair, people):
    pair.run(
        LIST("identity/group-alias/id", 404),
        POST(ENTITY, {"name": "${m}l"}),
        LIST("identity/entity/name", only="data.key_info"),
        GET("identity/entity/id?list=true", only="data.none"),
    )
