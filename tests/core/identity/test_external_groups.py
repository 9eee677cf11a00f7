"""Groups whose members come from logins, with an auth method that names groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.identity.conftest import Api, People
from tests.fixtures.issuer import RSA, now, pem, signed


class Visitors(People):
    """A jwt mount whose tokens say which groups their bearer is in."""

    def enter(self, name: str, *groups: str) -> dict[str, Any]:
        claims = {"sub": name, "aud": "app", "exp": now() + 600, "iat": now(), "groups": list(groups)}
        reply = self.ask("POST", f"auth/{self.mount}/login", {"role": "app", "jwt": signed(claims)}, "")
        assert reply.status == 200, reply
        auth: dict[str, Any] = reply.body["auth"]
        return auth

    def group(self, name: str, alias: str, policy: str) -> str:
        made: str = self.data(
            "POST", "identity/group", {"name": name, "type": "external", "policies": [policy]}
        )["id"]
        self.done(
            "POST",
            "identity/group-alias",
            {"name": alias, "mount_accessor": self.accessor, "canonical_id": made},
        )
        return made


@pytest.fixture
def visitors(api: Api, word: str) -> Iterator[Visitors]:
    made = Visitors(api, word, "")
    made.done("POST", f"sys/auth/{word}", {"type": "jwt"})
    made.accessor = made.data("GET", "sys/auth")[f"{word}/"]["accessor"]
    made.done("POST", f"auth/{word}/config", {"jwt_validation_pubkeys": pem(RSA)})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "app", "groups_claim": "groups"}
    made.done("POST", f"auth/{word}/role/app", role)
    yield made
    made.done("DELETE", f"sys/auth/{word}")


def test_a_login_puts_its_entity_into_the_groups_it_names_and_out_of_the_others(
    visitors: Visitors, word: str
):
    devs = visitors.group(f"{word}-devs", "devs", "p-devs")
    ops = visitors.group(f"{word}-ops", "ops", "p-ops")
    first = visitors.enter("ann", "devs", "unknown")
    assert first["identity_policies"] == ["p-devs"]
    entity = first["entity_id"]
    assert visitors.data("GET", f"identity/group/id/{devs}")["member_entity_ids"] == [entity]
    second = visitors.enter("ann", "ops")
    assert second["entity_id"] == entity and second["identity_policies"] == ["p-ops"]
    assert visitors.data("GET", f"identity/group/id/{devs}")["member_entity_ids"] is None
    # The older token is the same entity's: what the newer login said is true of it too.
    about = visitors.data("GET", "auth/token/lookup-self", token=first["client_token"])
    assert about["identity_policies"] == ["p-ops"]
    assert "identity_policies" not in visitors.enter("ann")
    assert visitors.data("GET", f"identity/group/id/{ops}")["member_entity_ids"] is None


def test_an_internal_group_above_an_external_one_applies_to_its_members(visitors: Visitors, word: str):
    devs = visitors.group(f"{word}-devs", "devs", "p-devs")
    body = {"name": f"{word}-all", "policies": ["p-all"], "member_group_ids": [devs]}
    visitors.done("POST", "identity/group", body)
    assert visitors.enter("ann", "devs")["identity_policies"] == ["p-all", "p-devs"]


def test_a_group_of_another_mount_is_not_joined_by_its_name(visitors: Visitors, word: str):
    other = f"{word}b"
    visitors.done("POST", f"sys/auth/{other}", {"type": "userpass"})
    accessor = visitors.data("GET", "sys/auth")[f"{other}/"]["accessor"]
    made = visitors.data("POST", "identity/group", {"name": word, "type": "external", "policies": ["admin"]})[
        "id"
    ]
    visitors.done(
        "POST", "identity/group-alias", {"name": "admins", "mount_accessor": accessor, "canonical_id": made}
    )
    assert "identity_policies" not in visitors.enter("eve", "admins", word, made)
    visitors.done("DELETE", f"sys/auth/{other}")


def test_many_logins_of_many_people_into_one_group_all_count(visitors: Visitors, word: str):
    devs = visitors.group(f"{word}-devs", "devs", "p-devs")
    seen = {visitors.enter(f"p{number}", "devs")["entity_id"] for number in range(12)}
    assert set(visitors.data("GET", f"identity/group/id/{devs}")["member_entity_ids"]) == seen
