"""Configuration and roles: what is refused when it is written, what is shown, what never is."""

from __future__ import annotations

import ssl

import pytest

from broker.plugin import InvalidRequest, NotFound, Secret, UnsupportedPath
from tests.fixtures.issuer import P256, RSA, pem
from tests.plugins.auth.cert.authority import authority

VERSION = b"\xa0\x03\x02\x01"
ODD = authority().der.replace(VERSION + b"\x02", VERSION + b"\x07")
"""A certificate of a version that does not exist."""
FLOW = {"oidc_client_id": "broker", "oidc_client_secret": "hunter2-canary"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "exactly one of"),
        ({"jwt_validation_pubkeys": []}, "exactly one of"),
        ({"jwks_url": "http://127.0.0.1:1/", "jwt_validation_pubkeys": "x"}, "exactly one of"),
        ({"oidc_discovery_url": "http://127.0.0.1:1/", "jwks_url": "http://127.0.0.1:1/"}, "exactly one of"),
        ({"jwt_validation_pubkeys": "nonsense"}, "error parsing public key"),
        ({"jwt_validation_pubkeys": ["", "x"]}, "error parsing public key"),
        ({"jwt_validation_pubkeys": ssl.DER_cert_to_PEM_cert(ODD)}, "error parsing public key"),
        ({"jwks_url": "nonsense"}, "invalid URL"),
        ({"jwks_url": "file:///etc/passwd"}, "invalid URL"),
        ({"jwks_url": "https://a:hunter2-canary@idp.example/"}, "credentials do not belong"),
        (
            {"oidc_discovery_url": "https://idp.example/.well-known/openid-configuration"},
            "'.well-known' component",
        ),
        ({"jwks_url": "http://127.0.0.1:1/", "jwks_ca_pem": "nonsense"}, "error checking jwks_ca_pem"),
        ({"oidc_discovery_url": "http://127.0.0.1:1/", "oidc_client_id": "a"}, "both 'oidc_client_id'"),
        ({"oidc_discovery_url": "http://127.0.0.1:1/", "oidc_client_secret": "a"}, "both 'oidc_client_id'"),
    ],
)
async def test_a_configuration_that_cannot_work_is_refused(kit, fields, text):
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest, match=text) as caught:
        await kit.update("config", **fields)
    assert kit.store.entries == before
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({**FLOW}, "'oidc_discovery_url' must be set"),
        ({"jwt_supported_algs": "HS256"}, "unsupported signing algorithm"),
        ({"oidc_response_mode": "fragment"}, "invalid response_mode"),
        ({"oidc_response_types": "token"}, "invalid response_types"),
        ({"oidc_response_types": "id_token"}, "query response_mode may not be used"),
        ({"provider_config": {"provider": "nonsense"}}, "provider not found"),
        ({"provider_config": {"provider": ["azure"]}}, "provider not found"),
        ({"nonsense": 1}, "unknown field"),
    ],
)
async def test_a_setting_that_means_nothing_is_refused(kit, fields, text):
    with pytest.raises(InvalidRequest, match=text):
        await kit.update("config", jwt_validation_pubkeys=pem(RSA), **fields)


async def test_the_client_s_secret_is_never_shown(kit, issuer):
    await kit.update("config", oidc_discovery_url=issuer.url, **FLOW)
    shown = (await kit.read("config")).data
    assert shown["oidc_client_id"] == "broker"
    assert "oidc_client_secret" not in shown
    assert "hunter2" not in str(shown)
    from broker_plugins.auth.jwt.records import Config

    stored = await kit.engine.config(kit.context("read", "config", _view(kit)))
    assert isinstance(stored, Config)
    assert "hunter2" not in repr(stored)


def _view(kit):
    from broker.plugin.testing.memory import MemoryView

    return MemoryView(kit.store.transaction())


async def test_a_write_replaces_the_whole_configuration(kit):
    await kit.update("config", jwt_validation_pubkeys=pem(RSA), bound_issuer="me", namespace_in_state=False)
    await kit.update("config", jwt_validation_pubkeys=[pem(RSA), pem(P256)])
    shown = (await kit.read("config")).data
    assert shown["bound_issuer"] == ""
    assert shown["namespace_in_state"] is False  # but this is kept, as in Vault
    assert shown["jwt_validation_pubkeys"] == [pem(RSA).strip(), pem(P256).strip()]


async def test_a_provider_s_specialties_are_taken_with_a_warning(kit):
    done = await kit.update(
        "config",
        jwt_validation_pubkeys=pem(RSA),
        provider_config={"provider": "azure", "secret": "hunter2-canary"},
    )
    assert ["azure" in warning for warning in done.warnings] == [True]
    assert (await kit.read("config")).data["provider_config"] == {"provider": "azure"}
    assert not any(b"hunter2" in value for value in kit.store.entries.values())


async def test_nothing_is_there_before_it_is_written(kit):
    kit.store.entries.clear()
    with pytest.raises(NotFound):
        await kit.read("config")
    with pytest.raises(NotFound):
        await kit.list("role")


async def test_keys_must_be_had_when_they_are_configured_unless_told_otherwise(kit, issuer):
    issuer.status = 500
    for fields in ({"jwks_url": issuer.jwks_url}, {"oidc_discovery_url": issuer.url}):
        with pytest.raises(InvalidRequest, match=r"error checking .* URL: the provider answered 500"):
            await kit.update("config", **fields)
        done = await kit.update("config", **fields, skip_jwks_validation=True)
        assert ["error checking" in warning for warning in done.warnings] == [True]
    shown = await kit.read("config")
    assert shown.data["status"] == "invalid"
    assert shown.warnings
    issuer.status = 200


async def test_the_discovery_document_must_be_the_issuer_s_own(kit, issuer):
    issuer.discovery = {"issuer": "https://other.example"}
    with pytest.raises(InvalidRequest, match="issuer did not match") as caught:
        await kit.update("config", oidc_discovery_url=issuer.url)
    assert "other.example" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"role_type": "saml"}, "invalid 'role_type'"),
        ({"user_claim": ""}, "a user claim must be defined"),
        ({"bound_audiences": None}, "at least one bound constraint"),
        ({"bound_audiences": []}, "at least one bound constraint"),
        ({"bound_claims_type": "regex"}, "invalid 'bound_claims_type'"),
        ({"bound_claims": {"a": {"b": 1}}}, 'bound claim "a" is not'),
        ({"bound_claims": {"a": None}}, 'bound claim "a" is not'),
        ({"bound_claims": {"a": [["b"]]}}, 'bound claim "a" is not'),
        ({"bound_claims": {"a": 1}, "bound_claims_type": "glob"}, 'bound claim "a" is not a string'),
        ({"bound_claims": ["a"]}, "expected an object"),
        ({"claim_mappings": {"a": "role"}}, "is reserved"),
        ({"claim_mappings": {"a": "x", "b": "x"}}, "multiple keys are mapped"),
        ({"claim_mappings": {"a": ["x"]}}, "expected an object"),
        ({"callback_mode": "push"}, "invalid 'callback_mode'"),
        ({"oauth2_metadata": "password"}, "Unrecognized oauth2 metadata name"),
        ({"role_type": "oidc"}, "'allowed_redirect_uris' must be set"),
        ({"max_age": -1}, "max_age"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"expiration_leeway": "soon"}, "expiration_leeway"),
        ({"token_policies": "root"}, "root is reserved"),
        ({"token_policies": " ROOT"}, "root is reserved"),
        ({"token_policies": "{{.a}}"}, "invalid policy name"),
        (
            {"token_policies": "{{.a | b}}", "token_policies_template_claims": True},
            "failed to parse template",
        ),
        ({"token_policies": "{{.a", "token_policies_template_claims": True}, "failed to parse template"),
        ({"token_ttl": 100, "token_max_ttl": 10}, "cannot be greater"),
        ({"token_bound_cidrs": "nowhere"}, "error parsing address"),
        ({"nonsense": 1}, "unknown field"),
    ],
)
async def test_a_role_that_cannot_work_is_refused_and_not_stored(kit, fields, text):
    with pytest.raises(InvalidRequest, match=text):
        await kit.set_role("other", **fields)
    assert (await kit.list("role"))["keys"] == ["app"]


@pytest.mark.parametrize("name", ["-a", "a-", ".", "..", "a b", "é", "\u212aing", "a" * 300])
async def test_a_name_that_no_role_can_have_is_no_path(kit, name):
    with pytest.raises((UnsupportedPath, InvalidRequest)):
        await kit.update(f"role/{name}", role_type="jwt", user_claim="sub", bound_audiences="a")


async def test_names_of_roles_are_case_folded(kit):
    await kit.update("role/ADMIN", role_type="jwt", user_claim="sub", bound_audiences="a")
    assert (await kit.list("role"))["keys"] == ["admin", "app"]
    assert (await kit.read("role/Admin"))["bound_audiences"] == ["a"]


async def test_what_is_not_given_stays_as_it_was(kit):
    await kit.set_role(bound_subject="bob", token_policies="p", claim_mappings={"a": "b"}, token_ttl=60)
    await kit.update("role/app", role_type="jwt", bound_subject="eve")
    shown = await kit.read("role/app")
    assert (shown["bound_subject"], shown["token_policies"], shown["claim_mappings"]) == (
        "eve",
        ["p"],
        {"a": "b"},
    )
    assert (shown["user_claim"], shown["token_ttl"]) == ("sub", 60)


async def test_templates_of_policies_survive_other_changes(kit):
    await kit.set_role(token_policies=["x-{{.a}}"], token_policies_template_claims=True)
    await kit.update("role/app", role_type="jwt", bound_subject="bob")
    shown = await kit.read("role/app")
    assert (shown["token_policies"], shown["token_policies_template_claims"]) == (["x-{{.a}}"], True)
    with pytest.raises(InvalidRequest, match="invalid policy name"):
        await kit.update("role/app", role_type="jwt", token_policies_template_claims=False)
    await kit.update(
        "role/app", role_type="jwt", token_policies_template_claims=False, token_policies="plain"
    )
    assert (await kit.read("role/app"))["token_policies"] == ["plain"]


async def test_verbose_logging_is_refused_its_effect(kit):
    await kit.set_role(verbose_oidc_logging=True)
    assert "never logged" in kit.last.warnings[0]


async def test_a_template_cannot_become_root(kit):
    await kit.set_role(token_policies="{{.p}}", token_policies_template_claims=True)
    # The pipeline names the policies of every login by the same rules; see the test over HTTP.
    assert (await kit.log_in(p="ROOT")).policies == ("ROOT",)


def test_secrets_of_the_arguments_are_masked():
    from broker_plugins.auth.jwt import paths as p

    args = p.WriteConfig(oidc_client_secret=Secret("hunter2-canary"))
    assert "hunter2" not in repr(args)
    assert "hunter2" not in repr(p.LogIn(jwt=Secret("hunter2-canary")))
