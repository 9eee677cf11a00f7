"""The cert auth method, each server behind a TLS listener of its own. A step names the certificate it shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.peer.harness import Pair, Side
from tests.peer.mode import SELF_CHECK
from tests.peer.script import DELETE, GET, LIST, POST, Differs
from tests.plugins.auth.cert.authority import (
    OWN_OID,
    SERVER,
    authority,
    client,
    dns,
    mail,
    make,
    revocation_list,
    text_extension,
    uri,
)
from tests.plugins.auth.cert.responder import Responder
from tests.plugins.auth.cert.servers import SHOWS, Site, TlsClient, TlsServer, tls_server

ROOT = authority("Machines")
MIDDLE = make("Middle", issuer=ROOT, ca=True)
LEAVES = {
    "app": client(
        ROOT,
        "app",
        names=[*dns("app.example.com"), *mail("app@example.com"), *uri("spiffe://example.org/ns/a/sa/app")],
        units=("engineering",),
        extensions=[(text_extension("web-1"), False)],
    ),
    "two": client(ROOT, "two"),
    "below": client(MIDDLE, "below").with_chain(MIDDLE),
    "nameless": client(ROOT),
    "expired": client(ROOT, "expired", since=-3, until=-1),
    "web": make("web", issuer=ROOT, usage=SERVER),
    "stranger": client(authority("Others"), "stranger"),
    "namesake": client(authority("Machines"), "namesake"),
    "alone": authority("alone"),
    "pinned": make("pinned", usage=()),
}
NOT_500 = Differs("no-5xx-for-bad-input", status=400, body=False)
STRICTER = Differs("stricter-input", status=400, body=False)


@pytest.fixture(scope="module")
def tls_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsServer, TlsServer]]:
    site = Site.build(tmp_path_factory.mktemp("site"))
    site.keep(**LEAVES)
    folder = tmp_path_factory.mktemp("servers")
    ours = tls_server("bao" if SELF_CHECK else "broker", folder / "ours", site)
    try:
        peer = tls_server("bao", folder / "peer", site)
    except BaseException:
        ours.running.stop()
        raise
    yield ours, peer
    ours.running.stop()
    peer.running.stop()


@pytest.fixture
def tls_pair(tls_servers: tuple[TlsServer, TlsServer], word: str) -> Iterator[Pair]:
    """Both servers with the method enabled at ``${m}``, and the certificates as ``${ca}``, ``${app}`` and so on."""
    certificates = {"ca": ROOT.pem, "middle": MIDDLE.pem} | {f"pem_{n}": h.pem for n, h in LEAVES.items()}
    sides = [Side(TlsClient(s), {"m": word, "root": s.root, **certificates}) for s in tls_servers]
    both = Pair(*sides, word, SELF_CHECK, tuple(s.running for s in tls_servers))
    both.run(POST("sys/auth/${m}", {"type": "cert"}, 204))
    yield both
    both.run(DELETE("sys/auth/${m}", 204))


def log_in(shows, status=200, name="", **more):
    body = {"name": name} if name else {}
    return POST("auth/${m}/login", body, status, token=None, headers={SHOWS: shows} if shows else {}, **more)


def renew(shows, status=200, **more):
    headers = {SHOWS: shows} if shows else {}
    return POST("auth/token/renew-self", {}, status, token="${app_token}", headers=headers, **more)


def test_settings(tls_pair):
    tls_pair.run(
        GET("auth/${m}/config"),
        POST("auth/${m}/config", {"ocsp_cache_size": 1}, 400),
        POST("auth/${m}/config", {"ocsp_cache_size": 100001}, 400),
        POST("auth/${m}/config", {"disable_binding": "perhaps"}, 400),
        POST("auth/${m}/config", {"disable_binding": True, "ocsp_cache_size": 50}, 204),
        GET("auth/${m}/config"),
        POST("auth/${m}/config", {"enable_identity_alias_metadata": True}, 204),
        GET("auth/${m}/config"),
        POST("auth/${m}/config", {}, 204),
        GET("auth/${m}/config", 403, token=None),
        DELETE("auth/${m}/config", 405),
    )


def test_roles(tls_pair):
    tls_pair.run(
        LIST("auth/${m}/certs", 404),
        GET("auth/${m}/certs/app", 404),
        DELETE("auth/${m}/certs/app", 204),
        POST("auth/${m}/certs/app", {}, 400),
        POST("auth/${m}/certs/app", {"certificate": "junk"}, 400),
        POST("auth/${m}/certs/app", {"certificate": "${pem_web}"}, 400),
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "ttl": "2h", "max_ttl": "1h"}, 400),
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "token_ttl": "2h", "token_max_ttl": "1h"}, 400),
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "token_type": "nonsense"}, 400),
        POST("auth/${m}/certs/App", {"certificate": "${ca}"}, 204),
        GET("auth/${m}/certs/app"),
        POST(
            "auth/${m}/certs/app",
            {
                "allowed_names": "a,b",
                "allowed_common_names": ["app", "x*"],
                "allowed_dns_sans": "*.example.com",
                "allowed_email_sans": "*@example.com",
                "allowed_uri_sans": "spiffe://example.org/*",
                "allowed_organizational_units": "eng*",
                "required_extensions": f"{OWN_OID}:web*",
                "allowed_metadata_extensions": OWN_OID,
                "display_name": "the app",
                "token_policies": ["p", "q"],
                "token_ttl": "10m",
                "token_max_ttl": "1h",
                "token_num_uses": 5,
                "token_bound_cidrs": "127.0.0.1/32",
            },
            204,
        ),
        GET("auth/${m}/certs/app"),
        POST("auth/${m}/certs/app", {"allowed_names": "", "allowed_common_names": []}, 204),
        GET("auth/${m}/certs/app"),
        POST("auth/${m}/certs/old", {"certificate": "${pem_pinned}", "policies": "p", "lease": 100}, 204),
        GET("auth/${m}/certs/old"),
        POST("auth/${m}/certs/old", {"ttl": "5m", "max_ttl": "1h", "bound_cidrs": "127.0.0.0/8"}, 204),
        GET("auth/${m}/certs/old"),
        POST("auth/${m}/certs/old", {"period": "20m", "policies": ["x", "y"], "token_policies": ["z"]}, 204),
        GET("auth/${m}/certs/old"),
        LIST("auth/${m}/certs"),
        LIST("auth/${m}/certs?after=app&limit=1"),
        POST(
            "auth/${m}/certs/bad",
            {"certificate": "${ca}", "required_extensions": "1.2.3"},
            204,
            differs=STRICTER,
        ),
        POST("auth/${m}/certs/a%20b", {"certificate": "${ca}"}, 404),
        DELETE("auth/${m}/certs/app", 204),
        GET("auth/${m}/certs/app", 404),
        GET("auth/${m}/certs/old", 403, token=None),
    )


def test_who_gets_in(tls_pair):
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "token_policies": "p", "token_ttl": "10m"}, 204),
        log_in("app", save={"app_token": "auth.client_token", "entity": "auth.entity_id"}),
        GET("auth/token/lookup-self", token="${app_token}"),
        GET("identity/entity/id/${entity}", only=("data.aliases.0.name", "data.aliases.0.metadata")),
        log_in("app", name="app"),
        log_in("app", name="APP"),
        log_in("below"),
        log_in("", 400),
        log_in("", 400, name="nothing"),
        log_in("app", 400, name="nothing"),
        log_in("stranger", 400),
        log_in("namesake", 400),
        log_in("nameless", 500, differs=NOT_500),
        log_in("expired", 500, differs=NOT_500),
        log_in("web", 500, differs=NOT_500),
    )


def test_pinned_and_self_signed_certificates(tls_pair):
    tls_pair.run(
        POST("auth/${m}/certs/one", {"certificate": "${pem_pinned}"}, 204),
        POST("auth/${m}/certs/self", {"certificate": "${pem_alone}"}, 204),
        POST("auth/${m}/certs/both", {"certificate": "${pem_two}${ca}"}, 204),
        log_in("pinned"),
        log_in("alone"),
        log_in("two"),
        log_in("app", 400),
        POST("auth/${m}/certs/all", {"certificate": "${ca}"}, 204),
        log_in("two"),
        log_in("app"),
    )


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("allowed_names", "app", "other"),
        ("allowed_names", "app@example.com", "*@example.org"),
        ("allowed_common_names", "a*", "b*"),
        ("allowed_dns_sans", "x,*.example.com", "*.example.org"),
        ("allowed_email_sans", "*@example.com", "bob@*"),
        ("allowed_uri_sans", "spiffe://example.org/ns/*/sa/app", "spiffe://example.org/ns/*/sa/web"),
        ("allowed_organizational_units", "engineering", "eng"),
        ("required_extensions", f"{OWN_OID}:web*", f"{OWN_OID}:db*"),
    ],
)
def test_what_a_certificate_must_say(tls_pair, field, good, bad):
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", field: good}, 204),
        log_in("app"),
        POST("auth/${m}/certs/app", {field: bad}, 204),
        log_in("app", 400),
    )


def test_a_star_stays_within_a_label(tls_pair):
    label = Differs("cert-stars", status=400, body=False)
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "allowed_dns_sans": "*.com"}, 204),
        log_in("app", differs=label),
        POST(
            "auth/${m}/certs/app",
            {"allowed_dns_sans": "", "allowed_uri_sans": "spiffe://example.org/*/app"},
            204,
        ),
        log_in("app", differs=label),
    )


def test_metadata(tls_pair):
    tls_pair.run(
        POST(
            "auth/${m}/certs/app",
            {"certificate": "${ca}", "allowed_metadata_extensions": f"{OWN_OID},1.2.3"},
            204,
        ),
        log_in("app"),
        POST("auth/${m}/config", {"enable_identity_alias_metadata": True}, 204),
        log_in("app", save={"entity": "auth.entity_id"}),
        GET("identity/entity/id/${entity}", only=("data.aliases.0.name", "data.aliases.0.metadata")),
    )


def test_the_network_of_a_login(tls_pair):
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "token_bound_cidrs": "10.0.0.0/8"}, 204),
        log_in("app", 403),
        POST("auth/${m}/certs/app", {"token_bound_cidrs": "127.0.0.0/8"}, 204),
        log_in("app"),
    )


def test_revocation_lists(tls_pair):
    revoked = revocation_list(ROOT, LEAVES["app"].serial)
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}"}, 204),
        LIST("auth/${m}/crls", 404),
        GET("auth/${m}/crls/one", 400),
        DELETE("auth/${m}/crls/one", 400),
        POST("auth/${m}/crls/one", {}, 400),
        POST("auth/${m}/crls/one", {"crl": "junk"}, 400),
        POST("auth/${m}/crls/one", {"url": ""}, 400),
        POST("auth/${m}/crls/one", {"url": "http://127.0.0.1:9/crl"}, 500, differs=NOT_500),
        POST("auth/${m}/crls/One", {"crl": revoked}, 204),
        GET("auth/${m}/crls/one"),
        LIST("auth/${m}/crls"),
        log_in("app", 400),
        log_in("two"),
        DELETE("auth/${m}/crls/one", 204),
        log_in("app"),
        POST("auth/${m}/crls/middle", {"crl": revocation_list(ROOT, MIDDLE.serial)}, 204),
        log_in("below", 400),
        log_in("app"),
    )


def test_whose_list_it_is(tls_pair):
    kept = Differs("cert-crl-issuer", status=200, body=False)
    closed = Differs("cert-crl-issuer", status=400, body=False)
    other = authority("Somebody else")
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}"}, 204),
        POST("auth/${m}/crls/other", {"crl": revocation_list(other, LEAVES["app"].serial)}, 204),
        log_in("app", 400, differs=kept),
        POST(
            "auth/${m}/crls/other",
            {"crl": revocation_list(ROOT, until=-1)},
            ignore=("warnings",),
            differs=Differs("cert-crl-issuer", status=200, body=False),
        ),
        log_in("app", 200, differs=closed),
    )


def test_a_list_is_fetched(tls_pair):
    text = revocation_list(ROOT, LEAVES["app"].serial).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/crl" else 404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        tls_pair.run(
            POST("auth/${m}/certs/app", {"certificate": "${ca}"}, 204),
            POST("auth/${m}/crls/one", {"url": f"{at}/nothing"}, 500, differs=NOT_500),
            POST("auth/${m}/crls/one", {"url": f"{at}/crl"}, 204),
            GET("auth/${m}/crls/one"),
            log_in("app", 400),
        )
    finally:
        server.shutdown()
        server.server_close()


def test_token_types(tls_pair):
    tls_pair.run(
        POST(
            "auth/${m}/certs/app", {"certificate": "${ca}", "token_num_uses": 3, "token_period": "10m"}, 204
        ),
        log_in("app"),
        POST("auth/${m}/certs/app", {"token_type": "batch"}, 400),
        POST("auth/${m}/certs/app", {"token_no_default_policy": True, "token_policies": "x"}, 204),
        log_in("app"),
    )


def test_a_renewal_shows_the_same_certificate(tls_pair):
    elsewhere = Differs("no-5xx-for-bad-input", status=400, body=False)
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "token_policies": "p", "token_ttl": "10m"}, 204),
        log_in("app", save={"app_token": "auth.client_token"}),
        renew("app"),
        renew("", 400),
        renew("two", 500, differs=elsewhere),
        renew("stranger", 400),
        POST("auth/token/renew", {"token": "${app_token}"}, 400),
        POST("auth/token/renew", {"token": "${app_token}"}, headers={SHOWS: "app"}),
        POST("auth/${m}/certs/app", {"token_policies": "p,q"}, 204),
        renew("app", 500, differs=elsewhere),
        POST("auth/${m}/certs/app", {"token_policies": "p", "allowed_common_names": "other"}, 204),
        renew("app", 400),
        POST("auth/${m}/certs/app", {"allowed_common_names": ""}, 204),
        renew("app"),
        POST("auth/${m}/crls/one", {"crl": revocation_list(ROOT, LEAVES["app"].serial)}, 204),
        renew("app", 400),
        POST("auth/${m}/config", {"disable_binding": True}, 204),
        renew(""),
        renew("two"),
        DELETE("auth/${m}/certs/app", 204),
        renew("app", 204, differs=Differs("renewal-after-its-role", status=400, body=False)),
    )


@pytest.fixture
def responder() -> Iterator[Responder]:
    made = Responder(ROOT, *LEAVES.values())
    yield made
    made.stop()


def test_a_responder_is_asked(tls_pair, responder):
    responder.says = {LEAVES["two"].serial: "revoked"}
    role = {"certificate": "${ca}", "ocsp_enabled": True, "ocsp_servers_override": responder.url}
    tls_pair.run(
        POST("auth/${m}/certs/app", role, 204),
        GET("auth/${m}/certs/app"),
        log_in("app"),
        log_in("two", 400),
        POST("auth/${m}/certs/app", {"ocsp_fail_open": True, "ocsp_query_all_servers": True}, 204),
        GET("auth/${m}/certs/app"),
        log_in("two", 400),
    )


def test_a_certificate_whose_responder_is_not_known(tls_pair):
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "ocsp_enabled": True}, 204),
        log_in("app", 400),
        POST("auth/${m}/certs/app", {"ocsp_ca_certificates": "${middle}", "ocsp_enabled": False}, 204),
        GET("auth/${m}/certs/app"),
        log_in("app"),
    )


def test_times_beyond_the_mounts(tls_pair):
    tls_pair.run(
        POST("auth/${m}/certs/app", {"certificate": "${ca}", "ttl": "1000h"}, 200),
        POST("auth/${m}/certs/app", {"ttl": 0, "max_ttl": "5000h", "period": "6000h"}, 200),
        GET("auth/${m}/certs/app"),
        POST("sys/auth/${m}/tune", {"default_lease_ttl": "1h", "max_lease_ttl": "2h"}, 204),
        POST("auth/${m}/certs/app", {"ttl": "90m", "max_ttl": "2h", "period": "2h"}, 200),
    )
