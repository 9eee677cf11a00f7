"""The configuration, groups and users: nothing here asks a directory."""

import pytest

from broker.plugin import InvalidRequest, NotFound


async def test_before_anything_is_written_the_defaults_are_vaults(kit):
    config = await kit.read("config")
    assert (config["url"], config["userattr"], config["tls_max_version"]) == (
        "ldap://127.0.0.1",
        "cn",
        "tls12",
    )
    assert (config["deny_null_bind"], config["request_timeout"], config["connection_timeout"]) == (
        True,
        90,
        30,
    )


async def test_what_is_left_out_stays(kit):
    await kit.update("config", binddn="cn=a", bindpass="secret-one", userattr="UID")
    await kit.update("config", groupdn="ou=groups")
    config = await kit.read("config")
    assert (config["binddn"], config["groupdn"], config["userattr"]) == ("cn=a", "ou=groups", "uid")


async def test_secrets_are_not_read_back(kit):
    await kit.update("config", binddn="cn=a", bindpass="secret-one")
    config = await kit.read("config")
    assert not {"bindpass", "client_tls_key", "client_tls_cert"} & set(config)
    assert "secret-one" not in repr(config)
    assert any(b"secret-one" in value for value in kit.store.entries.values())


@pytest.mark.parametrize(
    "body",
    [
        {"url": ""},
        {"url": "nonsense"},
        {"url": "http://a"},
        {"url": "ldap://"},
        {"url": "ldap://a:99999"},
        {"url": "ldap://u:p@a"},
        {"url": "ldap://a/dc=x??sub"},
        {"url": "ldap://a,"},
        {"userfilter": "(("},
        {"userfilter": "{{"},
        {"userfilter": "(cn={{.UserDN}})"},
        {"groupfilter": "(member={{.UserAttr}})"},
        {"tls_min_version": "tls99"},
        {"tls_min_version": "tls13"},
        {"tls_max_version": "tls11", "tls_min_version": "tls10"},
        {"certificate": "x"},
        {"client_tls_cert": "x"},
        {"client_tls_key": "x"},
        {"client_tls_cert": "x", "client_tls_key": "y"},
        {"dereference_aliases": "maybe"},
        {"request_timeout": "soon"},
        {"request_timeout": -1},
        {"connection_timeout": 100000},
        {"max_page_size": -1},
        {"discoverdn": "maybe"},
        {"token_policies": ["root"]},
        {"token_type": "x"},
        {"bindpass": ["x"]},
        {"bindpass": {"a": "b"}},
        {"url": 7},
        {"userdn": True},
        {"nope": "x"},
    ],
)
async def test_a_configuration_that_makes_no_sense_is_refused_and_stores_nothing(kit, body):
    with pytest.raises(InvalidRequest) as caught:
        await kit.update("config", **body)
    assert kit.store.entries == {}
    assert "secret" not in str(caught.value)


async def test_a_filter_that_ignores_userattr_is_warned_of(kit):
    await kit.update("config", userattr="uid", userfilter="(mail={{.Username}})")
    assert "colliding entity aliases" in kit.last.warnings[0]
    await kit.read("config")
    assert "colliding entity aliases" in kit.last.warnings[0]


async def test_a_login_without_a_password_cannot_be_allowed(kit):
    await kit.update("config", deny_null_bind=False)
    assert "refused whatever deny_null_bind says" in kit.last.warnings[0]


async def test_groups_are_named_without_regard_to_case(kit):
    await kit.update("groups/Engineers", policies="b,a")
    assert await kit.read("groups/ENGINEERS") == {"policies": ["a", "b"]}
    assert await kit.list("groups") == {"keys": ["engineers"]}
    await kit.delete("groups/engineers")
    with pytest.raises(NotFound):
        await kit.read("groups/engineers")


async def test_case_counts_where_the_configuration_says_so(kit):
    await kit.update("config", case_sensitive_names=True)
    await kit.update("groups/Engineers", policies="a")
    with pytest.raises(NotFound):
        await kit.read("groups/engineers")


async def test_users_have_policies_and_groups(kit):
    await kit.update("users/Bob", groups="Extra, engineers,Extra", policies=["p"])
    assert await kit.read("users/bob") == {"groups": "engineers,extra", "policies": ["p"]}
    await kit.update("users/empty")
    assert await kit.read("users/empty") == {"groups": "", "policies": []}
    assert await kit.list("users") == {"keys": ["bob", "empty"]}


async def test_names_may_hold_slashes(kit):
    await kit.update("groups/a/b", policies="c")
    assert await kit.list("groups") == {"keys": ["a/b"]}
    assert await kit.read("groups/a/b") == {"policies": ["c"]}


async def test_an_empty_list_is_not_found(kit):
    for path in ("groups", "users"):
        with pytest.raises(NotFound):
            await kit.list(path)


@pytest.mark.parametrize("policies", [["root"], "ROOT", [1], {"a": 1}, "a b"])
async def test_policies_that_are_none_are_refused(kit, policies):
    for path in ("groups/a", "users/a"):
        with pytest.raises(InvalidRequest):
            await kit.update(path, policies=policies)
    assert kit.store.entries == {}
