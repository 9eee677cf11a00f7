"""``hvac``'s calls for identity, used the same way at our server and at OpenBao."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hvac
import pytest
from hvac.exceptions import InvalidPath, InvalidRequest

from tests.peer.test_hvac import Both, both

__all__ = ["both"]

PASSWORD = "correct horse battery"


@pytest.fixture
def clients(both: Both, word: str) -> Iterator[tuple[hvac.Client, hvac.Client]]:
    """Both clients, with a userpass mount and a user; no entity, group, role or key of others in the way."""
    pairs = both.ours, both.peer
    for client in pairs:
        client.sys.enable_auth_method("userpass", path=word)
        client.auth.userpass.create_or_update_user("ann", PASSWORD, mount_point=word)
    yield pairs
    for client in pairs:
        identity = client.secrets.identity
        for entity in _keys(identity.list_entities):
            identity.delete_entity(entity)
        for group in _keys(identity.list_groups):
            identity.delete_group(group)


def _keys(listing: Any) -> list[str]:
    try:
        keys: list[str] = listing()["data"]["keys"]
    except InvalidPath:
        return []
    return keys


def data(reply: Any) -> dict[str, Any]:
    found: dict[str, Any] = reply["data"]
    return found


def accessor(client: hvac.Client, word: str) -> str:
    found: str = client.sys.list_auth_methods()["data"][f"{word}/"]["accessor"]
    return found


def test_entities_and_their_aliases(both: Both, clients, word: str):
    ids: dict[Any, str] = {}

    def create(client: hvac.Client) -> Any:
        reply = client.secrets.identity.create_or_update_entity(word, metadata={"a": "b"}, policies=["p"])
        ids[client] = reply["data"]["id"]
        return reply

    both.do(create)
    both.do(lambda c: c.secrets.identity.read_entity(ids[c]))
    both.do(lambda c: c.secrets.identity.read_entity_by_name(word))
    both.do(lambda c: c.secrets.identity.update_entity(ids[c], word, {"a": "c"}, ["q"], False))
    both.do(lambda c: c.secrets.identity.create_or_update_entity_by_name(word, policies=["r"]))
    both.do(lambda c: c.secrets.identity.lookup_entity(name=word))
    aliases: dict[Any, str] = {}

    def alias(client: hvac.Client) -> Any:
        reply = client.secrets.identity.create_or_update_entity_alias(
            "ann", ids[client], accessor(client, word)
        )
        aliases[client] = reply["data"]["id"]
        return reply

    both.do(alias)
    both.do(lambda c: c.secrets.identity.read_entity_alias(aliases[c]), "data.custom_metadata")
    both.do(lambda c: c.auth.userpass.login("ann", PASSWORD, mount_point=word, use_token=False))
    both.do(
        lambda c: c.secrets.identity.update_entity_alias(aliases[c], "bob", ids[c], accessor(c, word)),
    )
    both.do(lambda c: sorted(data(c.secrets.identity.list_entities())["key_info"][ids[c]]))
    both.do(lambda c: word in data(c.secrets.identity.list_entities_by_name())["keys"])
    both.do(lambda c: sorted(data(c.secrets.identity.list_entity_aliases())["key_info"][aliases[c]]))
    both.do(lambda c: c.secrets.identity.delete_entity_alias(aliases[c]))
    both.do(lambda c: c.secrets.identity.delete_entity_by_name(word))
    both.fails(lambda c: c.secrets.identity.read_entity(ids[c]), InvalidPath)


def test_merging(both: Both, clients, word: str):
    ids: dict[Any, list[str]] = {}
    for client in clients:
        made = [client.secrets.identity.create_or_update_entity(f"{word}{n}") for n in (1, 2)]
        ids[client] = [reply["data"]["id"] for reply in made]
    both.do(lambda c: c.secrets.identity.merge_entities([ids[c][0]], ids[c][1]))
    both.do(lambda c: c.secrets.identity.read_entity(ids[c][1]))
    both.fails(lambda c: c.secrets.identity.merge_entities([ids[c][0]], ids[c][1]), InvalidRequest)


def test_groups_and_their_aliases(both: Both, clients, word: str):
    ids: dict[Any, dict[str, str]] = {client: {} for client in clients}

    def create(name: str, **more: Any) -> Any:
        def action(client: hvac.Client) -> Any:
            reply = client.secrets.identity.create_or_update_group(name, **more)
            ids[client][name] = reply["data"]["id"]
            return reply

        return action

    both.do(create(word, policies=["p"], metadata={"a": "b"}))
    both.do(create(f"{word}x", group_type="external"))
    both.do(lambda c: c.secrets.identity.read_group(ids[c][word]), "data.member_entity_ids")
    both.do(
        lambda c: c.secrets.identity.update_group(ids[c][word], word, "internal", {"a": "c"}, ["q"], [], [])
    )
    both.do(lambda c: c.secrets.identity.create_or_update_group_by_name(word, policies=["s"]))
    # The peer has [] or null for no members, as its memory has it.
    both.do(lambda c: c.secrets.identity.read_group_by_name(word), "data.member_entity_ids")
    both.do(lambda c: c.secrets.identity.lookup_group(name=word), "data.member_entity_ids")
    aliases: dict[Any, str] = {}

    def alias(client: hvac.Client) -> Any:
        reply = client.secrets.identity.create_or_update_group_alias(
            "devs", mount_accessor=accessor(client, word), canonical_id=ids[client][f"{word}x"]
        )
        aliases[client] = reply["data"]["id"]
        return reply

    both.do(alias)
    both.do(lambda c: c.secrets.identity.read_group_alias(aliases[c]))
    both.do(
        lambda c: c.secrets.identity.update_group_alias(
            aliases[c], "ops", accessor(c, word), ids[c][f"{word}x"]
        )
    )
    both.do(lambda c: sorted(data(c.secrets.identity.list_group_aliases())["key_info"][aliases[c]]))
    both.do(lambda c: word in data(c.secrets.identity.list_groups_by_name())["keys"])
    both.do(lambda c: c.secrets.identity.delete_group_alias(aliases[c]))
    both.do(lambda c: c.secrets.identity.delete_group_by_name(word))
    both.fails(lambda c: c.secrets.identity.read_group(ids[c][word]), InvalidPath)


def test_identity_tokens(both: Both, clients, word: str):
    tokens: dict[Any, str] = {}
    rules = 'path "identity/oidc/*" { capabilities = ["read"] }'
    for client in clients:
        client.sys.create_or_update_policy(word, rules)
    both.do(lambda c: c.secrets.identity.read_tokens_backend_configuration())
    both.do(
        lambda c: c.secrets.identity.create_named_key(
            word, rotation_period="1h", verification_ttl="1h", allowed_client_ids="*", algorithm="ES256"
        )
    )
    both.do(lambda c: c.secrets.identity.read_named_key(word))
    both.do(lambda c: word in data(c.secrets.identity.list_named_keys())["keys"])
    both.do(
        lambda c: c.secrets.identity.create_or_update_role(word, word, '{"n": 1}', client_id="me", ttl="10m")
    )
    both.do(lambda c: c.secrets.identity.read_role(word))
    both.do(lambda c: word in data(c.secrets.identity.list_roles())["keys"])
    both.fails(lambda c: c.secrets.identity.generate_signed_id_token(word), InvalidRequest)
    for client, server in zip(clients, (both.ours, both.peer), strict=True):
        client.auth.userpass.create_or_update_user("ann", PASSWORD, policies=word, mount_point=word)
        auth = client.auth.userpass.login("ann", PASSWORD, mount_point=word, use_token=False)["auth"]
        person = hvac.Client(url=server.url, token=auth["client_token"])
        tokens[client] = person.secrets.identity.generate_signed_id_token(word)["data"]["token"]
        person.adapter.close()
    both.do(lambda c: c.secrets.identity.introspect_signed_id_token(tokens[c], client_id="me"))
    both.do(lambda c: c.secrets.identity.rotate_named_key(word, verification_ttl="10m"))
    both.do(lambda c: c.secrets.identity.introspect_signed_id_token(tokens[c]))
    both.do(lambda c: sorted(c.secrets.identity.read_well_known_configurations()))
    both.do(lambda c: sorted(c.secrets.identity.read_active_public_keys()["keys"][0]))
    both.do(lambda c: c.secrets.identity.delete_role(word))
    both.do(lambda c: c.secrets.identity.delete_named_key(word))
