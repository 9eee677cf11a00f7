"""Whom a login is, remembered from login to login: never by what was true before.

Every worker is asked for three logins before each change, so that it has something to remember.
"""

from __future__ import annotations

import pytest

from tests.invariants.node import Line, Node

NEARBY = ["127.0.0.1/32"]


@pytest.fixture(scope="module")
def lines(node: Node) -> list[Line]:
    return node.spread()


@pytest.fixture
def people(node: Node, fresh: str) -> str:
    """A mount of a test's own, where Ann and Bob are known by their role ids alone: logins without a slow password."""
    return with_people(node, fresh, "ann", "bob")


def with_people(node: Node, mount: str, *names: str) -> str:
    node.ok("POST", f"sys/auth/{mount}", {"type": "approle"})
    for name in names:
        role = {"bind_secret_id": False, "secret_id_bound_cidrs": NEARBY}
        node.ok("POST", f"auth/{mount}/role/{name}", role)
        node.ok("POST", f"auth/{mount}/role/{name}/role-id", {"role_id": name})
    return mount


def log_in(line: Line, mount: str, name: str = "ann") -> dict:
    return line.ok("POST", f"auth/{mount}/login", {"role_id": name}, token="").body["auth"]


def by_all(lines: list[Line], mount: str, name: str = "ann", times: int = 3) -> tuple[str, list[str]]:
    """The entity and its policies, as every worker says at each of its logins."""
    told = {
        (made["entity_id"], tuple(made.get("identity_policies") or ()))
        for line in lines
        for made in (log_in(line, mount, name) for _ in range(times))
    }
    assert len(told) == 1
    entity, policies = told.pop()
    return entity, list(policies)


def test_policies_given_to_an_entity_come_with_its_next_login(node, lines, people):
    entity, policies = by_all(lines, people)
    assert policies == []
    for wanted in (["one"], ["one", "two"], []):
        node.ok("POST", f"identity/entity/id/{entity}", {"policies": wanted})
        assert by_all(lines, people) == (entity, wanted)


def test_policies_of_groups_come_and_go_with_the_group(node, lines, people):
    entity, _ = by_all(lines, people)
    group = node.ok(
        "POST", "identity/group", {"name": people, "policies": ["g"], "member_entity_ids": [entity]}
    ).data
    assert by_all(lines, people) == (entity, ["g"])
    node.ok("POST", f"identity/group/id/{group['id']}", {"policies": ["h"]})
    assert by_all(lines, people) == (entity, ["h"])
    above = node.ok(
        "POST",
        "identity/group",
        {"name": f"{people}-above", "policies": ["top"], "member_group_ids": [group["id"]]},
    ).data
    assert by_all(lines, people) == (entity, ["h", "top"])
    node.ok("DELETE", f"identity/group/id/{above['id']}")
    assert by_all(lines, people) == (entity, ["h"])
    node.ok("POST", f"identity/group/id/{group['id']}", {"member_entity_ids": []})
    assert by_all(lines, people) == (entity, [])


def test_a_disabled_entity_does_not_log_in_on_any_worker(node, lines, people):
    entity, _ = by_all(lines, people)
    node.ok("POST", f"identity/entity/id/{entity}", {"disabled": True})
    for line in lines:
        refused = line.call("POST", f"auth/{people}/login", {"role_id": "ann"}, token="")
        assert refused.status == 403
    node.ok("POST", f"identity/entity/id/{entity}", {"disabled": False})
    assert by_all(lines, people) == (entity, [])


def test_a_deleted_entity_is_made_anew_and_only_once(node, lines, people):
    entity, _ = by_all(lines, people)
    node.ok("DELETE", f"identity/entity/id/{entity}")
    made, _ = by_all(lines, people)
    assert made != entity


def test_a_merged_entity_is_its_heir(node, lines, people):
    ann, _ = by_all(lines, people)
    heir = node.ok("POST", "identity/entity", {"name": people, "policies": ["heir"]}).data["id"]
    node.ok("POST", "identity/entity/merge", {"from_entity_ids": [ann], "to_entity_id": heir})
    assert by_all(lines, people) == (heir, ["heir"])


def test_an_alias_that_moved_takes_the_login_along(node, lines, people):
    ann, _ = by_all(lines, people)
    other = node.ok("POST", "identity/entity", {"name": people, "policies": ["other"]}).data["id"]
    alias = node.ok("GET", f"identity/entity/id/{ann}").data["aliases"][0]
    node.ok("POST", f"identity/entity-alias/id/{alias['id']}", {"canonical_id": other})
    assert by_all(lines, people) == (other, ["other"])


def test_nobody_is_taken_for_another_of_the_same_mount_or_the_same_name(node, lines, people):
    other = with_people(node, f"{people}-too", "ann")
    ann, bob, namesake = (
        by_all(lines, people)[0],
        by_all(lines, people, "bob")[0],
        by_all(lines, other)[0],
    )
    assert len({ann, bob, namesake}) == 3
    node.ok("POST", f"identity/entity/id/{ann}", {"policies": ["hers"]})
    assert by_all(lines, people, "bob") == (bob, [])
    assert by_all(lines, other) == (namesake, [])


def test_a_mount_made_again_knows_nobody(node, lines, people):
    ann, _ = by_all(lines, people)
    node.ok("DELETE", f"sys/auth/{people}")
    with_people(node, people, "ann")
    made, _ = by_all(lines, people)
    assert made != ann
