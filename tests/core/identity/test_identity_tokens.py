"""Identity tokens: whoever reads the public keys can check them, and nothing in them is the caller's to choose."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any
from urllib.request import urlopen

import jwt
import pytest

from broker.access.identity.signing import ALGORITHMS
from tests.core.identity.conftest import Api, People, open_people
from tests.invariants.node import eventually
from tests.peer.client import Client

MAY = 'path "identity/oidc/*" { capabilities = ["read", "update"] }'


@pytest.fixture
def ann(people: People, word: str) -> tuple[str, str]:
    """Somebody who may ask for tokens: their token and entity."""
    people.add("ann", token_policies=people.policy(f"{word}-oidc", MAY))
    auth = people.log_in("ann")
    return auth["client_token"], auth["entity_id"]


def role(people: People, word: str, *, algorithm: str = "ES256", **more: Any) -> str:
    people.done("POST", f"identity/oidc/key/{word}", {"algorithm": algorithm, "allowed_client_ids": ["*"]})
    people.done("POST", f"identity/oidc/role/{word}", {"key": word, "ttl": "1h", "client_id": word, **more})
    return word


def strangers_view(people: People) -> tuple[dict[str, Any], jwt.PyJWKClient]:
    """What somebody without any token gets to see."""
    base = f"{people.api.server.address}/v1/{people.namespace}identity/oidc"
    with urlopen(f"{base}/.well-known/openid-configuration") as answer:
        about: dict[str, Any] = json.load(answer)
    return about, jwt.PyJWKClient(about["jwks_uri"])


def checked(people: People, token: str, audience: str) -> dict[str, Any]:
    """The claims, as a stranger verifies them."""
    about, keys = strangers_view(people)
    claims: dict[str, Any] = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=about["id_token_signing_alg_values_supported"],
        audience=audience,
        issuer=about["issuer"],
    )
    return claims


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_stranger_verifies_a_token_with_the_published_keys(people: People, word: str, ann, algorithm: str):
    token, entity = ann
    made = people.data("GET", f"identity/oidc/token/{role(people, word, algorithm=algorithm)}", token=token)
    assert jwt.get_unverified_header(made["token"])["alg"] == algorithm
    claims = checked(people, made["token"], word)
    assert claims["sub"] == entity and claims["namespace"] == "root"
    assert claims["exp"] - claims["iat"] == made["ttl"] == 3600


def test_tokens_of_a_namespace_are_checked_with_its_own_keys(api: Api, word: str):
    api.done("PUT", f"sys/namespaces/{word}")
    people = open_people(api, word, f"{word}/")
    people.add("ann", token_policies=people.policy("oidc", MAY))
    auth = people.log_in("ann")
    made = people.data("GET", f"identity/oidc/token/{role(people, word)}", token=auth["client_token"])
    claims = checked(people, made["token"], word)
    assert claims["iss"].endswith(f"/v1/{word}/identity/oidc") and claims["sub"] == auth["entity_id"]
    root = People(api, word, "")
    answer = root.ask("POST", "identity/oidc/introspect", {"token": made["token"]}).body
    assert answer["active"] is False
    api.done("DELETE", f"sys/namespaces/{word}")


def test_after_a_rotation_old_tokens_hold_and_the_next_key_was_known_before(people: People, word: str, ann):
    name = role(people, word)
    before = people.data("GET", f"identity/oidc/token/{name}", token=ann[0])["token"]
    known = {key["kid"] for key in people.ask("GET", "identity/oidc/.well-known/keys", token="").body["keys"]}
    people.done("POST", f"identity/oidc/key/{name}/rotate", {})
    after = people.data("GET", f"identity/oidc/token/{name}", token=ann[0])["token"]
    ids = [jwt.get_unverified_header(token)["kid"] for token in (before, after)]
    assert ids[0] != ids[1] and ids[1] in known
    for token in (before, after):
        assert checked(people, token, name)
        assert people.ask("POST", "identity/oidc/introspect", {"token": token}).body == {"active": True}


def test_a_replaced_key_is_taken_back_when_its_time_is_over(wall_clock, node, word: str):
    """The steward's work, seen from outside."""
    people = open_people(node(), word)
    role(people, word)

    def published() -> set[str]:
        answer = people.ask("GET", "identity/oidc/.well-known/keys", token="")
        return {key["kid"] for key in answer.body["keys"]}

    old = published()
    people.done("POST", f"identity/oidc/key/{word}/rotate", {"verification_ttl": "1h"})
    assert len(published()) == 3 and old < published()
    wall_clock.forward(2 * 3600)
    eventually(lambda: len(published()) == 2)
    assert len(old & published()) == 1


def claims_of(people: People, word: str, template: str, token: str) -> dict[str, Any]:
    made = people.data("GET", f"identity/oidc/token/{role(people, word, template=template)}", token=token)
    return checked(people, made["token"], word)


def test_a_template_says_who_the_entity_is_and_in_which_groups(people: People, word: str, ann):
    token, entity = ann
    people.done("POST", f"identity/entity/id/{entity}", {"metadata": {"team": 'a "b" {{time.now}}'}})
    people.done("POST", "identity/group", {"name": f"{word}-g", "member_entity_ids": [entity]})
    template = (
        '{"team": {{identity.entity.metadata.team}}, "all": {{identity.entity.metadata}}, "none": {{identity.entity.metadata.x}},'
        '"groups": {{identity.entity.groups.names}}, "at": {{time.now}}, "until": {{time.now.plus.1h}},'
        f'"alias": {{{{identity.entity.aliases.{people.accessor}.name}}}}, "fixed": [1, true] }}'
    )
    claims = claims_of(people, word, template, token)
    assert claims["team"] == 'a "b" {{time.now}}' and claims["all"] == {"team": claims["team"]}
    assert claims["none"] == "" and claims["groups"] == [f"{word}-g"] and claims["alias"] == "ann"
    assert claims["until"] - claims["at"] == 3600 and claims["fixed"] == [1, True]


@pytest.mark.parametrize(
    "template",
    [
        "not json",
        "[1]",
        '"x"',
        "{{",
        '{"a": {{identity.nope}} }',
        '{"a": "{{identity.entity.name}}x"}',
        '{"a": {{time.now.plus.1x}} }',
        '{"a": {{time.now.plus.9999999999h}} }',
        '{"a": NaN}',
        '{"a": ' + "[" * 2000 + "]" * 2000 + "}",
        *(json.dumps({name: 1}) for name in ("sub", "iss", "aud", "exp", "iat", "namespace", "nonce")),
        '{"s\\u0075b": "admin"}',
    ],
)
def test_templates_that_are_refused(people: People, word: str, template: str):
    people.done("POST", f"identity/oidc/key/{word}", {"algorithm": "ES256"})
    reply = people.ask("POST", f"identity/oidc/role/{word}", {"key": word, "ttl": "1h", "template": template})
    assert reply.status == 400, reply
    assert people.ask("GET", f"identity/oidc/role/{word}").status == 404


def test_a_token_is_for_callers_with_an_entity_and_roles_that_the_key_lists(people: People, word: str, ann):
    name = role(people, word)
    assert people.ask("GET", f"identity/oidc/token/{name}").status == 400  # root is nobody
    people.done("POST", f"identity/oidc/key/{name}", {"allowed_client_ids": ["another"]})
    reply = people.ask("GET", f"identity/oidc/token/{name}", token=ann[0])
    assert reply.status == 400 and "does not list the client ID" in reply.body["errors"][0]


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def keyed_with(public: str, signed: str) -> str:
    """A token whose signature is an HMAC under what everybody knows: the public keys."""
    seal = hmac.digest(public.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


def test_introspection_believes_no_forgery(people: People, word: str, ann):
    token, entity = ann
    made = people.data("GET", f"identity/oidc/token/{role(people, word)}", token=token)["token"]
    head, body, seal = made.split(".")
    header, claims = jwt.get_unverified_header(made), jwt.decode(made, options={"verify_signature": False})
    public = json.dumps(people.ask("GET", "identity/oidc/.well-known/keys", token="").body)
    forged = [
        "",
        "x",
        "a.b.c",
        f"{head}.{body}.",
        f"{part({**header, 'alg': 'none'})}.{body}.",
        f"{head}.{part({**claims, 'sub': 'admin'})}.{seal}",
        f"{part({**header, 'kid': 'unknown'})}.{body}.{seal}",
        f"{part({**header, 'alg': 'HS256'})}.{body}.{seal}",
        keyed_with(public, f"{part({**header, 'alg': 'HS256'})}.{body}"),
        f"{head}.{body}.{seal}.extra",
        made + "\n" * 1000,
    ]
    for text in forged:
        answer = people.ask("POST", "identity/oidc/introspect", {"token": text})
        assert answer.status == 200 and answer.body["active"] is False, text[:40]
    ask = {"token": made}
    assert people.ask("POST", "identity/oidc/introspect", {**ask, "client_id": word}).body["active"] is True
    assert people.ask("POST", "identity/oidc/introspect", {**ask, "client_id": "x"}).body["active"] is False
    people.done("POST", f"identity/entity/id/{entity}", {"disabled": True})
    assert people.ask("POST", "identity/oidc/introspect", ask).body == {
        "active": False,
        "error": "entity is disabled",
    }


@pytest.mark.parametrize(
    "issuer",
    [
        "x.example",
        "ftp://x",
        "https://x/p",
        "https://x?y",
        "https://u@x",
        "https://",
        "https://x:99999",
        "https://x\n",
    ],
)
def test_an_issuer_is_scheme_host_and_port(people: People, issuer: str):
    assert people.ask("POST", "identity/oidc/config", {"issuer": issuer}).status == 400


def test_the_issuer_is_never_what_a_request_calls_the_server(people: People, word: str, ann):
    name = role(people, word)
    client = Client(people.api.server.address)
    headers = {"X-Vault-Token": ann[0], "Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    reply = client.send("GET", f"/v1/identity/oidc/token/{name}", headers, None)
    client.close()
    assert reply.status == 200, reply
    assert checked(people, reply.body["data"]["token"], name)["iss"] == (
        f"{people.api.server.address}/v1/identity/oidc"
    )
