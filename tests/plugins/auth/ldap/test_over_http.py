"""The method in a real server: lockout, entities, renewals, audit, and Vault's own client."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import pytest

from tests.core.system.conftest import Api, node  # noqa: F401 - a fixture

CONFIG = {
    "userdn": "ou=people,dc=example,dc=org",
    "userattr": "uid",
    "groupdn": "ou=groups,dc=example,dc=org",
    "binddn": "cn=reader,dc=example,dc=org",
    "bindpass": "reader-password",
}


def configured(api: Api, url: str, path: str, **more: object) -> str:
    api.done("POST", f"sys/auth/{path}", {"type": "ldap"})
    api.done("POST", f"auth/{path}/config", {**CONFIG, "url": url, **more})
    return f"auth/{path}"


@pytest.fixture
def api(broker_dev) -> Iterator[Api]:
    made = Api(broker_dev)
    yield made
    for path in made.data("GET", "sys/auth") or {}:
        if path.startswith("ldap"):
            made.done("DELETE", f"sys/auth/{path.rstrip('/')}")
    made.close()


def login(api: Api, at: str, name: str, password: str):
    return api.ask("POST", f"{at}/login/{name}", {"password": password}, token="")


def test_a_name_is_locked_out_in_every_spelling_and_lets_others_in(api, directory):
    at = configured(api, directory.url, "ldaplock")
    for spelling in ("carol", "CAROL", "%20carol", "carol", "Carol"):
        assert login(api, at, spelling, "wrong").status in (400, 403)
    assert login(api, at, "carol", "carol-password").status == 403
    assert login(api, at, "CaRoL", "carol-password").status == 403
    assert login(api, at, "bob", "bob-password").status == 200


def test_an_unknown_name_is_answered_byte_for_byte_like_a_wrong_password(api, directory):
    at = configured(api, directory.url, "ldapsame")
    for _ in range(7):
        known, unknown = login(api, at, "alice", "wrong"), login(api, at, "nobody", "wrong")
        assert (known.status, known.raw) == (unknown.status, unknown.raw)


@pytest.mark.parametrize("as_alias", [True, False])
def test_one_person_is_one_entity_in_every_spelling(api, directory, as_alias):
    at = configured(api, directory.url, "ldapone", username_as_alias=as_alias)
    found = {
        login(api, at, name, "bob-password").body["auth"]["entity_id"]
        for name in ("bob", "BOB", "%20bob%20", "b%C2%ADob")
    }
    assert len(found) == 1
    assert found != {""}


def test_a_group_of_the_directory_is_a_group_of_identity(api, directory):
    at = configured(api, directory.url, "ldapgroup")
    accessor = api.data("GET", "sys/auth")["ldapgroup/"]["accessor"]
    group = api.data(
        "POST", "identity/group", {"name": "ldap-eng", "type": "external", "policies": ["eng-identity"]}
    )
    api.done(
        "POST",
        "identity/group-alias",
        {"name": "engineers", "mount_accessor": accessor, "canonical_id": group["id"]},
    )
    assert login(api, at, "bob", "bob-password").body["auth"]["identity_policies"] == ["eng-identity"]
    assert "identity_policies" not in login(api, at, "carol", "carol-password").body["auth"]
    api.done("DELETE", f"identity/group/id/{group['id']}")


def test_a_renewal_is_refused_once_policies_changed(api, directory):
    at = configured(api, directory.url, "ldaprenew", token_ttl="5m")
    token = login(api, at, "bob", "bob-password").body["auth"]["client_token"]
    assert api.ask("POST", "auth/token/renew-self", {}, token=token).status == 200
    api.done("POST", f"{at}/groups/engineers", {"policies": "eng"})
    refused = api.ask("POST", "auth/token/renew-self", {}, token=token)
    assert (refused.status, refused.body) == (400, {"errors": ["policies have changed, not renewing"]})


def test_no_password_stands_in_an_audit_record_or_a_log(node, directory, tmp_path):  # noqa: F811
    log = tmp_path / "audit" / "a.log"
    log.parent.mkdir()
    api = node(audit_directory=str(log.parent))
    api.done("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(log)}})
    at = configured(api, directory.url, "ldap")
    assert login(api, at, "bob", "bob-password").status == 200
    assert login(api, at, "bob", "wrong-pass-word").status == 400
    api.done("POST", f"{at}/config", {"url": "ldap://127.0.0.1:1"})
    assert login(api, at, "bob", "bob-password").status == 503
    text = log.read_text() + api.server.log_path.read_text()
    assert "auth/ldap/login/bob" in text
    for secret in ("bob-password", "wrong-pass-word", "reader-password"):
        assert secret not in text


def test_vaults_python_client_configures_and_logs_in(api, directory):
    client = hvac.Client(url=api.server.address, token="root")
    client.sys.enable_auth_method("ldap", path="ldaphvac")
    mine = {"mount_point": "ldaphvac"}
    client.auth.ldap.configure(
        userdn=CONFIG["userdn"],
        groupdn=CONFIG["groupdn"],
        url=directory.url,
        userattr="uid",
        binddn=CONFIG["binddn"],
        bindpass=CONFIG["bindpass"],
        **mine,
    )
    assert client.auth.ldap.read_configuration(**mine)["data"]["userattr"] == "uid"
    client.auth.ldap.create_or_update_group(name="engineers", policies=["eng"], **mine)
    client.auth.ldap.create_or_update_user(username="bob", policies=["bobs"], groups=["local"], **mine)
    assert client.auth.ldap.list_groups(**mine)["data"]["keys"] == ["engineers"]
    assert client.auth.ldap.read_group(name="engineers", **mine)["data"] == {"policies": ["eng"]}
    assert client.auth.ldap.list_users(**mine)["data"]["keys"] == ["bob"]
    assert client.auth.ldap.read_user(username="bob", **mine)["data"] == {
        "groups": "local",
        "policies": ["bobs"],
    }
    person = hvac.Client(url=api.server.address)
    auth = person.auth.ldap.login(username="bob", password="bob-password", **mine)["auth"]
    assert auth["policies"] == ["bobs", "default", "eng"]
    with pytest.raises(hvac.exceptions.InvalidRequest):
        person.auth.ldap.login(username="bob", password="wrong", **mine)
    client.auth.ldap.delete_user(username="bob", **mine)
    client.auth.ldap.delete_group(name="engineers", **mine)
    for one in (client, person):
        one.adapter.close()
