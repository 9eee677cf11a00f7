"""Roles: what a certificate must say, which of them opens, and what cannot be one."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from broker.plugin import InvalidRequest, PermissionDenied, Tampered

from .asking import NO_MATCH, ROOT, STRANGER, refused, role
from .authority import (
    OWN_OID,
    authority,
    client,
    dns,
    ip,
    mail,
    text_extension,
    uri,
)

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


async def test_a_damaged_role_is_deleted_with_the_ways_to_it(kit):
    await kit.update("certs/other", certificate=ROOT.pem)
    kept = set(kit.store.entries)
    await kit.update("certs/spoilt", certificate=ROOT.pem + client(authority("Another"), "pinned").pem)
    kit.store.damaged.add("role/spoilt")
    with pytest.raises(Tampered):
        await kit.read("certs/spoilt")
    await kit.delete("certs/spoilt")
    assert set(kit.store.entries) == kept
