"""Whose certificate is good: every way in which one can look like another."""

import pytest
from cryptography import x509
from OpenSSL import crypto

from broker.plugin import InvalidRequest

from .asking import ROOT, STRANGER, refused, role
from .authority import (
    CLIENT,
    SERVER,
    Holder,
    authority,
    client,
    dns,
    key_of,
    mail,
    make,
    uri,
)

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
