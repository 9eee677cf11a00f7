"""Logins against a real OpenLDAP server."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress

import pytest
from broker_plugins.auth.ldap.ber import integer, octets, tlv

from broker.plugin import InvalidRequest, PermissionDenied, Unavailable
from tests.fixtures.directory import PEOPLE as NAMES
from tests.fixtures.directory import dn_of
from tests.fixtures.servers import free_port

REFUSED = "ldap operation failed: failed to bind as user"


async def refused(kit, name, password):
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest) as caught:
        await kit.login(name, password)
    assert kit.store.entries == before
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
async def test_everybody_logs_in_whatever_their_name_holds(ldap, name):
    auth = await ldap.login(name)
    assert auth.alias == name
    assert auth.metadata == {"username": name.lower()}
    assert ldap.lockout.successes == [name.lower()]


@pytest.mark.parametrize("name", NAMES)
async def test_everybody_logs_in_by_a_composed_name_too(ldap, name):
    await ldap.update("config", binddn="", bindpass="")
    auth = await ldap.login(name)
    assert auth.alias.startswith("uid=")


@pytest.mark.parametrize("account", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        "*",
        "*)(uid=*",
        "bob)(uid=*",
        "bob*",
        "a*",
        "bob\\2a",
        "bob,ou=people",
        "bob,ou=people,dc=example,dc=org",
        "bob+cn=bob",
        "bob\x00)(uid=*",
        "\ufeff",
        "\u0661",
        "elsewhere",
        "x" * 5000,
        "uid=bob",
        "#626f62",
    ],
)
async def test_no_name_is_more_than_a_name(ldap, account, name):
    if not account:
        await ldap.update("config", binddn="", bindpass="")
    for password in ("bob-password", "alice-password", "x"):
        assert await refused(ldap, name, password) == REFUSED
    assert len(ldap.lockout.failures) == 3


async def test_an_unknown_person_and_a_wrong_password_look_alike(ldap):
    assert await refused(ldap, "nobody", "x") == await refused(ldap, "bob", "x") == REFUSED
    assert ldap.lockout.failures == ["nobody", "bob"]


@pytest.mark.parametrize("deny", [True, False])
@pytest.mark.parametrize("account", [True, False])
async def test_an_empty_password_never_opens(ldap, deny, account):
    await ldap.update("config", deny_null_bind=deny, **({} if account else {"binddn": "", "bindpass": ""}))
    for name in ("bob", "nobody"):
        assert "zero length" in await refused(ldap, name, "")
    with pytest.raises(InvalidRequest, match="zero length"):
        await ldap.update("login/bob")


@pytest.mark.parametrize(
    "password", ["\x00", "bob-password\x00", "bob-password ", "BOB-PASSWORD", "é" * 100, "p" * 100_000]
)
async def test_a_password_is_compared_as_it_is(ldap, password):
    assert await refused(ldap, "bob", password) == REFUSED


@pytest.mark.parametrize("spelling", ["BOB", " bob ", "bo\u00adb", "\uff42ob", "bo\x00b"])
async def test_every_spelling_of_a_name_is_one_person(ldap, spelling):
    await ldap.update("config", username_as_alias=True)
    await ldap.update("users/bob", policies="bobs")
    auth = await ldap.login(spelling, "bob-password")
    assert (auth.alias, auth.metadata["username"], auth.policies) == ("bob", "bob", ("bobs",))
    await refused(ldap, spelling, "x")
    assert ldap.lockout.failures == ["bob"]


async def test_who_is_locked_out_is_not_asked_for(ldap):
    ldap.lockout.locked.add("bob")
    with pytest.raises(PermissionDenied):
        await ldap.login("bob")
    with pytest.raises(PermissionDenied):
        await ldap.login("BOB", "x")
    assert ldap.lockout.failures == []


async def test_groups_and_people_have_policies(ldap):
    await ldap.update("config", token_policies="base", token_ttl="10m", token_max_ttl="1h")
    await ldap.update("groups/engineers", policies="eng")
    await ldap.update("groups/support", policies="sup")
    await ldap.update("groups/local", policies="loc")
    await ldap.update("users/bob", policies="bobs", groups="local")
    auth = await ldap.login("bob")
    assert auth.policies == ("base", "bobs", "eng", "loc", "sup")
    assert auth.group_aliases == ("local", "Support", "engineers")
    assert (auth.ttl.total_seconds(), auth.max_ttl.total_seconds()) == (600, 3600)
    assert (await ldap.login("carol")).policies == ("base",)


async def test_groups_that_name_their_members_by_login_name_count(ldap):
    assert (await ldap.login("dave")).group_aliases == ("posix",)


async def test_who_is_in_no_group_is_told_so(ldap):
    await ldap.login("Zoë Ünal")
    assert "no LDAP groups found in groupDN" in ldap.last.warnings[0]


async def test_groups_are_read_from_the_person_where_they_stand_there(ldap):
    await ldap.update(
        "config",
        groupdn="ou=people,dc=example,dc=org",
        groupfilter="(uid={{.Username}})",
        groupattr="memberOf",
    )
    assert (await ldap.login("alice")).group_aliases == ("admins", "engineers")


async def test_groups_within_groups_are_followed_where_that_is_asked(ldap):
    await ldap.update("config", groupdn="dc=example,dc=org")
    assert (await ldap.login("alice")).group_aliases == ("admins", "engineers")
    await ldap.update("config", nested_groups=True)
    assert (await ldap.login("alice")).group_aliases == ("admins", "company", "engineers", "everyone", "ring")


async def test_groups_are_found_page_by_page(ldap):
    await ldap.update("config", max_page_size=1)
    assert (await ldap.login("bob")).group_aliases == ("Support", "engineers")


async def test_groups_are_searched_for_anonymously_where_that_is_asked(ldap):
    await ldap.update("config", anonymous_group_search=True)
    assert (await ldap.login("bob")).group_aliases == ("Support", "engineers")


async def test_a_group_filter_is_filled_with_escaped_names(ldap):
    await ldap.update("config", groupfilter="(&(objectClass=groupOfNames)(cn={{.Username}}))")
    assert (await ldap.login("o'neil, (x) *")).group_aliases == ()


async def test_people_are_found_anonymously_where_that_is_asked(ldap):
    await ldap.update(
        "config", binddn="", bindpass="", discoverdn=True, userfilter="(mail={{.Username}}@example.org)"
    )
    assert (await ldap.login("alice")).alias == "alice"
    assert await refused(ldap, "nobody", "x") == REFUSED


async def test_a_name_that_finds_several_people_finds_nobody(ldap):
    await ldap.update("config", userfilter="(|(uid={{.Username}})(objectClass=inetOrgPerson))")
    assert await refused(ldap, "bob", "bob-password") == REFUSED


async def test_token_groups_of_a_directory_without_them_are_none(ldap):
    await ldap.update("config", use_token_groups=True)
    assert (await ldap.login("bob")).group_aliases == ()


async def test_a_login_from_elsewhere_is_refused_before_the_directory_is_asked(ldap):
    await ldap.update("config", token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        await ldap.login("bob")
    assert ldap.lockout.guarded == []


# TLS


@pytest.mark.parametrize("start", [False, True])
async def test_tls_is_spoken_with_who_has_a_certificate_of_the_ca(ldap, directory, start):
    url = directory.url if start else directory.tls_url
    await ldap.update("config", url=url, starttls=start, certificate=directory.ca)
    await ldap.login("bob")
    await ldap.update("config", tls_max_version="tls13", tls_min_version="tls13")
    await ldap.login("bob")


@pytest.mark.parametrize("start", [False, True])
async def test_a_certificate_of_somebody_else_is_not_trusted(ldap, directory, start):
    await ldap.update("config", url=directory.url if start else directory.tls_url, starttls=start)
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        await ldap.login("bob")
    assert ldap.lockout.failures == []
    await ldap.update("config", insecure_tls=True)
    await ldap.login("bob")


async def test_a_certificate_for_another_name_is_not_trusted(ldap, directory):
    await ldap.update("config", url=f"ldaps://127.0.0.2:{directory.tls_port}", certificate=directory.ca)
    with pytest.raises(Unavailable):
        await ldap.login("bob")


async def test_nothing_is_sent_in_clear_where_starttls_is_refused(ldap):
    seen = bytearray()

    async def answer(reader, writer):
        seen.extend(await reader.read(4096))
        writer.write(bytes.fromhex("300c02010178070a010204000400"))  # protocolError
        seen.extend(await reader.read(4096))

    async with listening(answer) as port:
        await ldap.update("config", url=f"ldap://127.0.0.1:{port}", starttls=True)
        with pytest.raises(Unavailable, match="refuses StartTLS"):
            await ldap.login("bob")
    assert b"bob" not in seen
    assert b"password" not in seen


async def test_answers_put_in_before_tls_are_not_taken_for_the_directorys(ldap):
    async def answer(reader, writer):
        await reader.read(4096)
        good = bytes.fromhex("300c02010178070a010004000400")
        writer.write(good + bytes.fromhex("300c02010261070a010004000400"))
        await reader.read(4096)

    async with listening(answer) as port:
        await ldap.update("config", url=f"ldap://127.0.0.1:{port}", starttls=True)
        with pytest.raises(Unavailable, match="out of turn"):
            await ldap.login("bob")


# Directories that fail


@asynccontextmanager
async def listening(answer):
    """Something on a port that is no directory; when the block ends, so has every conversation."""
    talks = set()

    async def talk(reader, writer):
        talks.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*talks), 10)
        await server.wait_closed()


async def test_the_next_url_is_asked_when_one_does_not_answer(ldap, directory):
    await ldap.update("config", url=f"ldap://127.0.0.1:{free_port()},{directory.url}")
    await ldap.login("bob")


async def test_a_directory_that_is_down_is_nobodys_failed_login(ldap):
    await ldap.update("config", url=f"ldap://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="not reached") as caught:
        await ldap.login("bob", "x")
    assert "127.0.0.1" not in str(caught.value)
    assert ldap.lockout.failures == []


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes.fromhex("3080"),
        bytes.fromhex("30847fffffff"),
        bytes.fromhex("300c02010261070a010004000400"),  # an answer to another request
        bytes.fromhex("300c02010165070a010004000400"),  # an answer of another kind
        bytes.fromhex("302402010078070a013404000400"),
        bytes.fromhex("300c02010061070a010004000400"),  # unsolicited
        bytes.fromhex("300502010161"),
        b"\x30\x03\x02\x01",
    ],
)
async def test_a_directory_that_speaks_nonsense_is_nobodys_failed_login(ldap, said):
    async def answer(reader, writer):
        await reader.read(4096)
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with listening(answer) as port:
        await ldap.update("config", url=f"ldap://127.0.0.1:{port}")
        with pytest.raises(Unavailable):
            await ldap.login("bob")
    assert ldap.lockout.failures == []


async def test_a_directory_that_is_silent_is_given_up(ldap):
    async def answer(reader, writer):
        await reader.read()

    async with listening(answer) as port:
        await ldap.update("config", url=f"ldap://127.0.0.1:{port}", request_timeout=1)
        with pytest.raises(Unavailable, match="in time"):
            await ldap.login("bob")


async def test_a_directory_that_never_ends_is_given_up(ldap):
    def message(number, body):
        return tlv(0x30, integer(number), body)

    async def answer(reader, writer):
        await reader.read(4096)
        writer.write(message(1, tlv(0x61, bytes.fromhex("0a010004000400"))))
        await reader.read(4096)
        entry = message(
            2,
            tlv(
                0x64,
                octets("uid=bob"),
                tlv(0x30, tlv(0x30, octets("uid"), tlv(0x31, octets(b"x" * 1_000_000)))),
            ),
        )
        for _ in range(100):
            writer.write(entry)
            await writer.drain()

    async with listening(answer) as port:
        await ldap.update("config", url=f"ldap://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match="says too much"):
            await ldap.login("bob")
    assert ldap.lockout.failures == []


async def test_an_account_that_is_refused_is_nobodys_failed_login(ldap):
    await ldap.update("config", bindpass="wrong-password")
    with pytest.raises(Unavailable, match="result code 49") as caught:
        await ldap.login("bob")
    assert "wrong-password" not in str(caught.value)
    assert ldap.lockout.failures == []


# Renewals


async def test_a_renewal_asks_the_directory_again(ldap, directory):
    await ldap.update("groups/auditors", policies="audit")
    auth = await ldap.login("carol")
    assert "password" not in auth.internal
    assert (await ldap.renew(auth)).group_aliases == ("auditors",)
    dn = dn_of("auditors", "ou=groups")
    directory.change(
        f"dn: {dn}\nchangetype: modify\nadd: member\nmember: {dn_of('dave')}\n-\ndelete: member\nmember: {dn_of('carol')}\n"
    )
    try:
        with pytest.raises(InvalidRequest, match="policies have changed, not renewing"):
            await ldap.renew(auth)
    finally:
        directory.change(
            f"dn: {dn}\nchangetype: modify\nadd: member\nmember: {dn_of('carol')}\n-\ndelete: member\nmember: {dn_of('dave')}\n"
        )
    await ldap.renew(auth)


@pytest.mark.parametrize("account", [True, False])
async def test_who_has_left_is_not_renewed(ldap, directory, account):
    if not account:
        await ldap.update("config", binddn="", bindpass="")
    entry = f"dn: {dn_of('eve')}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: eve\ncn: eve\nsn: eve\nuserPassword: eve-password\n"
    directory.change(entry)
    try:
        auth = await ldap.login("eve")
        await ldap.renew(auth)
    finally:
        directory.change(f"dn: {dn_of('eve')}\nchangetype: delete\n")
    with pytest.raises(PermissionDenied):
        await ldap.renew(auth)


async def test_a_renewal_is_refused_when_policies_of_a_group_changed(ldap):
    await ldap.update("groups/engineers", policies="eng")
    auth = await ldap.login("bob")
    await ldap.update("groups/engineers", policies="other")
    with pytest.raises(InvalidRequest, match="policies have changed"):
        await ldap.renew(auth)


async def test_many_log_in_at_once(ldap):
    auths = await asyncio.gather(*(ldap.login(name) for name in NAMES * 5))
    assert [auth.alias for auth in auths] == list(NAMES) * 5


def test_the_directorys_certificate_is_a_real_one(directory):
    context = ssl.create_default_context(cadata=directory.ca)
    assert ssl.get_server_certificate(
        ("127.0.0.1", directory.tls_port), ca_certs=str(directory.folder / "ca.pem")
    )
    assert context.verify_mode is ssl.CERT_REQUIRED
