"""Logins over a real TLS socket, through the server's own listener."""

from contextlib import suppress

import pytest

from .authority import CLIENT, SERVER, authority, client, dns, make, uri

ROOT = authority("Machines")
MIDDLE = make("Machines 2", issuer=ROOT, ca=True)
LEAVES = {
    "app": client(ROOT, "app", names=dns("app.example.com")),
    "below": client(MIDDLE, "below").with_chain(MIDDLE),
    "lonely": client(MIDDLE, "lonely"),
    "workload": client(ROOT, names=uri("spiffe://example.org/ns/a/sa/b")),
    "expired": client(ROOT, "expired", since=-3, until=-1),
    "web": make("web", issuer=ROOT, usage=SERVER),
    "stranger": make("stranger", usage=CLIENT),
    "pinned": make("pinned", usage=CLIENT),
}
REFUSED = {"errors": ["invalid certificate or no client certificate supplied"]}


@pytest.fixture(scope="module", autouse=True)
def roles(site, wire):
    site.keep(**LEAVES)
    for name, body in {
        "machines": {"certificate": ROOT.pem, "allowed_common_names": "*", "token_policies": "app"},
        "workloads": {
            "certificate": ROOT.pem,
            "allowed_uri_sans": "spiffe://example.org/ns/*",
            "alias_name_source": "uri_san",
        },
        "one": {"certificate": LEAVES["pinned"].pem, "token_ttl": "10m"},
    }.items():
        assert wire.ask("POST", f"auth/cert/certs/{name}", body).status == 204


@pytest.mark.parametrize(
    ("shows", "role"),
    [("app", "machines"), ("below", "machines"), ("pinned", "one"), ("workload", "workloads")],
)
def test_a_trusted_certificate_gets_a_token(wire, shows, role):
    reply = wire.log_in(shows)
    assert reply.status == 200, reply.body
    assert reply.body["auth"]["metadata"]["cert_name"] == role
    seen = wire.ask("GET", "auth/token/lookup-self", token=reply.body["auth"]["client_token"]).body["data"]
    assert seen["path"] == "auth/cert/login"
    assert seen["display_name"] == f"cert-{role}"


@pytest.mark.parametrize("shows", ["lonely", "expired", "web", "stranger"])
def test_an_untrusted_one_is_refused_in_one_text(wire, shows):
    reply = wire.log_in(shows)
    assert (reply.status, reply.body) == (400, REFUSED)


def test_without_a_certificate_nobody_gets_in_whatever_the_headers_say(wire, site):
    pem = (site.folder / "app.pem").read_text().replace("\n", "%0A")
    headers = dict.fromkeys(("X-Tls-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert"), pem)
    reply = wire.send("POST", "/v1/auth/cert/login", headers, b"{}")
    assert (reply.status, reply.body) == (400, {"errors": ["no client certificate found"]})


def test_the_plain_listener_has_no_certificates_to_show(wire, server):
    from tests.peer.client import Client

    plain = Client(server.running.address)
    assert plain.send("POST", "/v1/auth/cert/login", {}, b"{}").status == 400
    plain.close()


def test_the_alias_is_what_the_role_names(wire):
    entity = wire.log_in("workload").body["auth"]["entity_id"]
    seen = wire.ask("GET", f"identity/entity/id/{entity}").body["data"]["aliases"]
    assert [alias["name"] for alias in seen] == ["spiffe://example.org/ns/a/sa/b"]


def test_an_authority_of_one_mount_is_none_at_another(wire):
    assert wire.ask("POST", "sys/auth/other", {"type": "cert"}).status == 204
    own = {"certificate": authority("Machines").pem}
    assert wire.ask("POST", "auth/other/certs/machines", own).status == 204
    reply = wire.log_in("app", mount="other")
    assert (reply.status, reply.body) == (400, REFUSED)
    assert wire.log_in("app").status == 200


def test_an_authority_of_one_namespace_is_none_in_another(wire):
    assert wire.ask("POST", "sys/namespaces/tenant").status == 200
    assert wire.ask("POST", "tenant/sys/auth/cert", {"type": "cert"}).status == 204
    reply = wire.ask("POST", "tenant/auth/cert/login", {}, token="", shows="app")
    assert (reply.status, reply.body) == (400, REFUSED)


def test_a_token_is_renewed_where_its_certificate_is_shown_and_nowhere_else(wire):
    token = wire.log_in("app").body["auth"]["client_token"]
    for shows, status in (("app", 200), ("", 400), ("below", 400), ("pinned", 400), ("stranger", 400)):
        assert wire.ask("POST", "auth/token/renew-self", {}, token=token, shows=shows).status == status
    accessor = wire.ask("GET", "auth/token/lookup-self", token=token).body["data"]["accessor"]
    assert wire.ask("POST", "auth/token/renew-accessor", {"accessor": accessor}).status == 400


def test_keys_too_weak_to_trust_are_refused_over_the_wire_too(wire, site):
    site.keep(weak=client(ROOT, "weak", kind="rsa1024"), strong=client(ROOT, "strong", kind="rsa2048"))
    assert wire.log_in("strong").status == 200
    with suppress(OSError):  # the handshake may have refused it already
        assert wire.log_in("weak").status == 400
