"""Whose certificate is good: every way in which one can look like another."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import crypto

from broker.plugin import InvalidRequest, PermissionDenied

from .authority import (
    CLIENT,
    OWN_OID,
    SERVER,
    Holder,
    authority,
    client,
    dns,
    ip,
    key_of,
    mail,
    make,
    text_extension,
    uri,
)

ROOT = authority("Machines")
STRANGER = "invalid certificate or no client certificate supplied"
NO_MATCH = "no chain matching all constraints"


async def role(kit, name="role", certificate=ROOT, **more):
    await kit.update(f"certs/{name}", certificate=certificate.pem, **more)


async def refused(kit, holder, text=STRANGER, name=""):
    with pytest.raises(InvalidRequest, match=text):
        await kit.log_in(holder, name)


# Pinned certificates


async def test_a_pinned_certificate_is_compared_whole(kit):
    pinned = make("service", usage=CLIENT)
    await role(kit, certificate=pinned)
    assert (await kit.log_in(pinned)).alias == "service"
    same_key_other_name = make("admin", usage=CLIENT, key=pinned.key, serial=pinned.serial)
    same_name_other_key = make("service", usage=CLIENT, serial=pinned.serial)
    same_but_later = make("service", usage=CLIENT, key=pinned.key, serial=pinned.serial, until=3)
    for forged in (same_key_other_name, same_name_other_key, same_but_later):
        await refused(kit, forged)


async def test_what_a_pinned_certificate_signs_is_not_trusted(kit):
    pinned = make("service", usage=CLIENT)
    await role(kit, certificate=pinned)
    await refused(kit, client(pinned, "admin").with_chain(pinned))


async def test_authorities_behind_a_pinned_certificate_admit_nobody_else(kit):
    pinned = client(ROOT, "service")
    await kit.update("certs/role", certificate=pinned.pem + ROOT.pem)
    assert (await kit.log_in(pinned)).alias == "service"
    await refused(kit, client(ROOT, "admin"))


async def test_an_expired_pinned_certificate_is_refused(kit):
    pinned = make("service", usage=CLIENT, since=-3, until=-1)
    await role(kit, certificate=pinned)
    await refused(kit, pinned)


async def test_a_self_signed_authority_is_also_the_certificate_of_its_holder(kit):
    alone = authority("laptop")
    await role(kit, certificate=alone)
    assert (await kit.log_in(alone)).alias == "laptop"


# Chains


async def test_an_authority_of_the_same_name_is_another_authority(kit):
    await role(kit)
    namesake = authority("Machines")
    await refused(kit, client(namesake, "app"))
    await refused(kit, client(namesake, "app").with_chain(namesake))


async def test_the_same_subject_key_identifier_proves_nothing(kit):
    identifier = x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key())
    await role(kit)
    namesake = authority("Machines", extensions=[(identifier, False)])
    await refused(kit, client(namesake, "app").with_chain(namesake))


async def test_the_same_serial_number_with_another_key_proves_nothing(kit):
    good = client(ROOT, "app")
    await role(kit)
    await refused(kit, make("app", issuer=authority("Machines"), serial=good.serial, usage=CLIENT))


async def test_a_certificate_that_is_no_authority_issues_nothing(kit):
    await role(kit)
    for middle in (
        client(ROOT, "middle"),
        make("middle", issuer=ROOT, ca=None),
        make("middle", issuer=ROOT, ca=True, extensions=[(_usage(sign=False), True)]),
        make("middle", issuer=ROOT, ca=True, usage=SERVER),
        make("middle", issuer=ROOT, ca=True, until=-0.5),
    ):
        await refused(kit, client(middle, "app").with_chain(middle))


def _usage(*, sign, digital=True):
    return x509.KeyUsage(digital, False, False, False, False, sign, False, False, False)


async def test_a_chain_is_as_long_as_its_authorities_allow(kit):
    root = authority("Short", path_length=0)
    middle = make("middle", issuer=root, ca=True)
    await role(kit, certificate=root)
    assert (await kit.log_in(client(root, "app"))).alias == "app"
    await refused(kit, client(middle, "app").with_chain(middle))


async def test_a_chain_of_several_authorities_is_walked_in_any_order(kit):
    first = make("first", issuer=ROOT, ca=True)
    second = make("second", issuer=first, ca=True)
    await role(kit)
    assert (await kit.log_in(client(second, "app").with_chain(first, second))).alias == "app"
    await refused(kit, client(second, "app").with_chain(second))


async def test_an_authority_below_another_can_be_trusted_alone(kit):
    middle = make("middle", issuer=ROOT, ca=True)
    await role(kit, certificate=middle)
    assert (await kit.log_in(client(middle, "app"))).alias == "app"
    await refused(kit, client(ROOT, "app"))


async def test_long_and_tangled_chains_end_soon(kit):
    await role(kit)
    key = key_of("ec")
    tangle = [make("knot", ca=True, key=key, until=2 + number / 10) for number in range(9)]
    leaf = make("app", issuer=tangle[0], usage=CLIENT)
    await refused(kit, leaf.with_chain(*tangle))
    await refused(kit, leaf.with_chain(*tangle, *tangle))


async def test_certificates_that_are_none_are_refused(kit):
    await role(kit)
    good = client(ROOT, "app")
    for chain in ([b""], [b"\x30\x03junk"], [good.der, b"junk"], [good.der + b"\0"], [b"x" * 70_000]):
        kit.shows(*chain)
        with pytest.raises(InvalidRequest, match=STRANGER):
            await kit.update("login")


# What a certificate says of itself


@pytest.mark.parametrize(
    "more",
    [
        {"usage": SERVER},
        {"since": -3, "until": -1},
        {"since": 1},
        {"kind": "rsa1024"},
        {"extensions": [(_usage(sign=False, digital=False), True)]},
        {"extensions": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]},
    ],
)
async def test_a_certificate_that_should_not_log_in_does_not(kit, more):
    await role(kit)
    await refused(kit, client(ROOT, "app", **more))


@pytest.mark.parametrize(
    "more", [{"usage": ()}, {"kind": "rsa2048"}, {"kind": "ed25519"}, {"usage": (*SERVER, *CLIENT)}]
)
async def test_a_certificate_that_may_log_in_does(kit, more):
    await role(kit)
    assert (await kit.log_in(client(ROOT, "app", **more))).alias == "app"


@pytest.mark.filterwarnings("ignore:X509.sign is deprecated:DeprecationWarning")
async def test_a_signature_over_sha1_is_none(kit):
    root = authority("Old", kind="rsa2048")
    await role(kit, certificate=root)
    good = client(root, "app")
    assert (await kit.log_in(good)).alias == "app"
    old = crypto.X509.from_cryptography(good.certificate)
    old.sign(crypto.PKey.from_cryptography_key(root.key), "sha1")  # cryptography signs nothing like that
    await refused(kit, Holder(old.to_cryptography(), good.key))


async def test_a_weak_key_is_not_trusted_to_begin_with(kit):
    with pytest.raises(InvalidRequest, match="weak key"):
        await role(kit, certificate=authority("Weak", kind="rsa1024"))
    assert not kit.store.entries


# Names


@pytest.mark.parametrize(
    ("patterns", "names", "good"),
    [
        ({"allowed_dns_sans": "app.example.com"}, dns("app.example.com"), True),
        ({"allowed_dns_sans": "app.example.com"}, dns("APP.Example.com"), True),
        ({"allowed_dns_sans": "*.example.com"}, dns("app.example.com"), True),
        ({"allowed_dns_sans": "*.example.com"}, dns("a.b.example.com"), False),
        ({"allowed_dns_sans": "*.example.com"}, dns("example.com"), False),
        ({"allowed_dns_sans": "*.example.com"}, dns("*.example.com"), False),
        ({"allowed_dns_sans": "*"}, dns("*.example.com"), False),
        ({"allowed_dns_sans": "*"}, dns("10.0.0.1"), False),
        ({"allowed_dns_sans": "10.0.0.1"}, dns("10.0.0.1"), False),
        ({"allowed_dns_sans": "10.0.0.1"}, ip("10.0.0.1"), False),
        ({"allowed_dns_sans": "app.example.com"}, dns("app.example.com\0.evil.example"), False),
        ({"allowed_dns_sans": "*"}, dns("app.example.com\0"), False),
        ({"allowed_dns_sans": "app.example.com"}, [], False),
        ({"allowed_dns_sans": "other,app.example.com"}, dns("x", "app.example.com"), True),
        ({"allowed_email_sans": "*@example.com"}, mail("bob@EXAMPLE.com"), True),
        ({"allowed_email_sans": "*@example.com"}, mail("bob@evil.example.com"), False),
        ({"allowed_email_sans": "*@example.com"}, mail("bob@example.com@evil.example"), False),
        ({"allowed_uri_sans": "spiffe://example.org/ns/a/sa/b"}, uri("spiffe://Example.ORG/ns/a/sa/b"), True),
        (
            {"allowed_uri_sans": "spiffe://example.org/ns/a/sa/b"},
            uri("spiffe://example.org/ns/A/sa/b"),
            False,
        ),
        ({"allowed_uri_sans": "spiffe://example.org/ns/*/sa/b"}, uri("spiffe://example.org/ns/a/sa/b"), True),
        (
            {"allowed_uri_sans": "spiffe://example.org/ns/*/sa/b"},
            uri("spiffe://example.org/ns/a/x/sa/b"),
            False,
        ),
        ({"allowed_uri_sans": "spiffe://example.org/*"}, uri("spiffe://example.org/ns/a/sa/b"), True),
        ({"allowed_uri_sans": "spiffe://example.org/*"}, uri("spiffe://example.org"), False),
        ({"allowed_uri_sans": "spiffe://*/admin"}, uri("spiffe://evil.example/x/admin"), False),
        ({"allowed_uri_sans": "spiffe://*/admin"}, uri("spiffe://evil/admin"), True),
        ({"allowed_uri_sans": "spiffe://example.org/ns/*"}, uri("spiffe://example.org/ns/../admin"), False),
        ({"allowed_uri_sans": "spiffe://example.org/ns/*"}, uri("spiffe://example.org/ns/%2e%2e/x"), False),
        ({"allowed_uri_sans": "spiffe://example.org/*"}, uri("spiffe://example.org@evil.example/a"), False),
        (
            {"allowed_uri_sans": "spiffe://example.org/a"},
            uri("spiffe://example.org/a", "spiffe://example.org/b"),
            False,
        ),
        ({"allowed_uri_sans": "urn:uuid:*"}, uri("urn:uuid:f81d4fae"), True),
        ({"allowed_uri_sans": "https://example.org/a"}, uri("http://example.org/a"), False),
        ({"allowed_names": "app"}, dns("other.example.com"), True),  # the common name
        ({"allowed_names": "*.example.com"}, dns("other.example.com"), True),
        ({"allowed_common_names": "a*"}, [], True),
        ({"allowed_common_names": "other"}, dns("other"), False),
        ({"allowed_common_names": "*.example.com"}, [], False),
        ({"allowed_organizational_units": "eng*"}, [], True),
        ({"allowed_organizational_units": "ops"}, [], False),
        (
            {"allowed_dns_sans": "app.example.com", "allowed_common_names": "other"},
            dns("app.example.com"),
            False,
        ),
    ],
)
async def test_names_match_what_they_say_and_no_more(kit, patterns, names, good):
    await role(kit, **patterns)
    holder = client(ROOT, "app", names=names, units=("engineering",))
    if good:
        assert (await kit.log_in(holder)).alias == "app"
    else:
        await refused(kit, holder, NO_MATCH)


@pytest.mark.parametrize(
    ("wanted", "good"),
    [
        (f"{OWN_OID}:web-1", True),
        (f"{OWN_OID}:web*", True),
        (f"{OWN_OID}:db*", False),
        ("1.2.3.4:*", False),
        (f"{OWN_OID}:web*,1.2.3.4:x", False),
    ],
)
async def test_extensions_must_say_what_is_required(kit, wanted, good):
    await role(kit, required_extensions=wanted)
    holder = client(ROOT, "app", extensions=[(text_extension("web-1"), False)])
    if good:
        assert (await kit.log_in(holder)).alias == "app"
    else:
        await refused(kit, holder, NO_MATCH)


async def test_extensions_go_into_the_metadata_when_asked_for(kit):
    await role(kit, allowed_metadata_extensions=f"{OWN_OID},1.2.3.4")
    auth = await kit.log_in(client(ROOT, "app", extensions=[(text_extension("web-1"), False)]))
    assert auth.metadata[OWN_OID.replace(".", "-")] == "web-1"
    assert "1-2-3-4" not in auth.metadata


@pytest.mark.parametrize("common_names", [(), ("a", "b"), ("a", "a")])
async def test_without_one_common_name_there_is_no_alias_to_take(kit, common_names):
    await role(kit)
    await refused(kit, client(ROOT, *common_names), "missing name in alias")


async def test_a_common_name_with_control_characters_is_none(kit):
    await role(kit)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin\0x")])
    await refused(kit, client(ROOT, subject=subject), "missing name in alias")


async def test_the_alias_can_be_the_alternative_name_that_matched(kit):
    await role(kit, allowed_uri_sans="spiffe://example.org/*", alias_name_source="uri_san")
    auth = await kit.log_in(client(ROOT, names=uri("spiffe://example.org/app")))
    assert auth.alias == "spiffe://example.org/app"
    with pytest.raises(InvalidRequest, match="needs allowed_dns_sans"):
        await role(kit, alias_name_source="dns_san")


async def test_an_alternative_name_that_did_not_match_is_never_the_alias(kit):
    await role(kit, allowed_dns_sans="*.example.com", alias_name_source="dns_san")
    auth = await kit.log_in(client(ROOT, "x", names=dns("admin.evil.example", "App.example.com")))
    assert auth.alias == "app.example.com"
    both = client(ROOT, "x", names=dns("a.example.com", "b.example.com"))
    await refused(kit, both, "missing name in alias")


# Constraints that authorities carry


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "good"),
    [
        (dns("example.com"), None, dns("app.example.com"), True),
        (dns("example.com"), None, dns("app.example.org"), False),
        (dns("example.com"), None, dns("badexample.com"), False),
        (None, dns("secret.example.com"), dns("x.secret.example.com"), False),
        (None, dns("secret.example.com"), dns("app.example.com"), True),
        (uri("example.org"), None, uri("spiffe://example.org/app"), True),
        (uri("example.org"), None, uri("spiffe://evil.example/app"), False),
        (mail("example.com"), None, mail("bob@example.com"), True),
        (mail("example.com"), None, mail("bob@evil.example"), False),
        (dns("example.com"), None, uri("spiffe://evil.example/app"), True),
    ],
)
async def test_an_authority_speaks_for_the_names_it_may(kit, permitted, excluded, names, good):
    limits = x509.NameConstraints(permitted, excluded)
    root = authority("Bound", extensions=[(limits, True)])
    await role(kit, certificate=root)
    holder = client(root, "app", names=names)
    if good:
        assert (await kit.log_in(holder)).alias == "app"
    else:
        await refused(kit, holder)


# Roles


async def test_the_first_role_by_name_wins_and_pinned_ones_go_first(kit):
    holder = client(ROOT, "app")
    await role(kit, "b")
    await role(kit, "a", allowed_common_names="other")
    await role(kit, "z", certificate=holder)
    assert (await kit.log_in(holder)).metadata["cert_name"] == "z"
    await kit.delete("certs/z")
    assert (await kit.log_in(holder)).metadata["cert_name"] == "b"
    await refused(kit, holder, NO_MATCH, name="a")
    await refused(kit, holder, STRANGER, name="nothing")
    await refused(kit, holder, STRANGER, name="../certs/b")


async def test_a_role_with_another_certificate_leaves_no_way_by_the_old_one(kit):
    await role(kit)
    other = authority("Others")
    await role(kit, certificate=other)
    await refused(kit, client(ROOT, "app"))
    assert (await kit.log_in(client(other, "app"))).alias == "app"
    await kit.delete("certs/role")
    assert not kit.store.entries


async def test_a_login_reads_no_role_of_another_authority(kit):
    await role(kit)
    for number in range(5):
        await role(kit, f"other-{number}", certificate=authority(f"Other {number}"))
    for path in [path for path in kit.store.entries if path.startswith("role/other")]:
        kit.store.entries[path] = b"not a record"
    assert (await kit.log_in(client(ROOT, "app"))).alias == "app"


async def test_a_network_that_is_not_bound_is_refused(kit):
    await role(kit, token_bound_cidrs="10.0.0.0/8")
    with pytest.raises(PermissionDenied):
        await kit.log_in(client(ROOT, "app"))


@pytest.mark.parametrize(
    "spelling",
    [
        "root",
        "ROOT",
        " root",
        "root\n",
        "root\u00a0",
        "root\u200b",
        "\uff52\uff4f\uff4f\uff54",
        "default,root",
    ],
)
async def test_no_spelling_of_root_is_given_out(kit, spelling):
    with pytest.raises(InvalidRequest):
        await role(kit, token_policies=[spelling])
    assert not kit.store.entries


@pytest.mark.parametrize(
    "bad",
    [
        {"certificate": ""},
        {"certificate": "junk"},
        {"certificate": ROOT.pem.replace("M", "#")},
        {"required_extensions": "1.2.3"},
        {"required_extensions": "x:y"},
        {"allowed_metadata_extensions": "name"},
        {"allowed_email_sans": "example.com"},
        {"allowed_uri_sans": "example.org/a"},
        {"allowed_dns_sans": ["a\0b"]},
        {"ocsp_servers_override": "ftp://x"},
        {"ocsp_ca_certificates": "junk"},
        {"alias_name_source": "serial"},
        {"display_name": "x" * 300},
        {"allowed_names": ["x"] * 300},
        {"ttl": "2h", "max_ttl": "1h"},
    ],
)
async def test_a_role_that_cannot_mean_anything_is_refused_and_nothing_is_stored(kit, bad):
    with pytest.raises(InvalidRequest) as refusal:
        await kit.update("certs/role", **{"certificate": ROOT.pem, **bad})
    assert str(refusal.value)
    assert not kit.store.entries
