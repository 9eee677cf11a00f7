"""Renewals need the same certificate; revocation lists speak for their signer, and silence lets nobody in."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509

from broker.plugin import InvalidRequest, Login, NotFound, Tampered, Verb
from broker.plugin.testing.memory import MemoryView

from .authority import CLIENT, authority, client, key_of, make, revocation_list

ROOT = authority("Machines")
APP = client(ROOT, "app")
NO_MATCH = "no chain matching all constraints"


@pytest.fixture
async def kit(kit):
    await kit.update("certs/role", certificate=ROOT.pem, token_policies="p", token_ttl="10m")
    return kit


async def refused(kit, holder=APP, text=NO_MATCH):
    with pytest.raises(InvalidRequest, match=text):
        await kit.log_in(holder)


def login_of(holder, policies=("default", "p")):
    bound = hashlib.sha256(holder.der).hexdigest()
    return Login("app", policies, {"cert_name": "role"}, {"certificate": bound})


async def renew(kit, *chain, login=None):
    kit.shows(*chain)
    context = kit.context(Verb.UPDATE, "", MemoryView(kit.store.transaction()))
    return await kit.engine.renew_login(context, login or login_of(APP))


# Renewals


async def test_a_login_is_bound_to_its_certificate(kit):
    auth = await kit.log_in(APP)
    assert auth.internal == {"certificate": hashlib.sha256(APP.der).hexdigest()}
    assert "certificate" not in repr(auth)


async def test_a_renewal_shows_the_same_certificate(kit):
    renewed = await renew(kit, APP.der)
    assert renewed.ttl.total_seconds() == 600
    with pytest.raises(InvalidRequest, match="no client certificate found"):
        await renew(kit)
    twin = client(ROOT, "app", key=APP.key, serial=APP.serial, until=3)
    for other in (client(ROOT, "app"), client(ROOT, "other"), twin):
        with pytest.raises(InvalidRequest, match="not matching client identity used during login"):
            await renew(kit, other.der)


async def test_a_renewal_judges_the_certificate_anew(kit):
    await kit.update("crls/one", crl=revocation_list(ROOT, APP.serial))
    with pytest.raises(InvalidRequest, match=NO_MATCH):
        await renew(kit, APP.der)
    await kit.delete("crls/one")
    await kit.update("certs/role", allowed_common_names="other")
    with pytest.raises(InvalidRequest, match=NO_MATCH):
        await renew(kit, APP.der)


async def test_a_certificate_that_ends_ends_the_renewals(kit):
    kit.clock.advance(3 * 86400)
    with pytest.raises(InvalidRequest):
        await renew(kit, APP.der)


async def test_a_renewal_is_refused_once_the_role_gives_other_policies_or_is_gone(kit):
    await kit.update("certs/role", token_policies="p,q")
    with pytest.raises(InvalidRequest, match="policies have changed"):
        await renew(kit, APP.der)
    await kit.update("config", disable_binding=True)
    await kit.delete("certs/role")
    with pytest.raises(InvalidRequest, match="gone"):
        await renew(kit)


async def test_without_binding_any_connection_renews(kit):
    await kit.update("config", disable_binding=True)
    assert (await renew(kit)).ttl.total_seconds() == 600


# Revocation lists


async def test_a_revoked_certificate_is_refused(kit):
    await kit.update("crls/one", crl=revocation_list(ROOT, APP.serial))
    await refused(kit)
    assert (await kit.log_in(client(ROOT, "other"))).alias == "other"
    await kit.delete("crls/one")
    assert (await kit.log_in(APP)).alias == "app"


async def test_a_damaged_list_lets_nobody_in_until_it_is_deleted(kit):
    before = set(kit.store.entries)
    await kit.update("crls/one", crl=revocation_list(ROOT, APP.serial))
    kit.store.damaged.add("crl/one")
    with pytest.raises(Tampered):
        await kit.log_in(client(ROOT, "other"))
    await kit.delete("crls/one")
    assert set(kit.store.entries) == before
    assert (await kit.log_in(APP)).alias == "app"


async def test_without_a_list_nothing_is_revoked(kit):
    assert (await kit.log_in(APP)).alias == "app"


async def test_a_list_that_has_run_out_lets_nobody_in(kit):
    await kit.update("crls/one", crl=revocation_list(ROOT, until=-1))
    assert "has run out" in kit.last.warnings[0]
    await refused(kit)
    await kit.update("crls/one", crl=revocation_list(ROOT, until=1))
    assert (await kit.log_in(APP)).alias == "app"
    kit.clock.advance(1.5 * 86400)
    await refused(kit)


async def test_a_list_of_another_authority_says_nothing_of_ours(kit):
    await kit.update("crls/one", crl=revocation_list(authority("Somebody else"), APP.serial))
    assert (await kit.log_in(APP)).alias == "app"


async def test_a_list_in_our_authoritys_name_that_it_did_not_sign_lets_nobody_in(kit):
    await kit.update("crls/one", crl=revocation_list(ROOT, key=key_of("ec")))
    await refused(kit)


async def test_of_two_authorities_of_a_name_each_has_its_own_list(kit):
    namesake = authority("Machines")
    await kit.update("certs/namesake", certificate=namesake.pem)
    await kit.update("crls/one", crl=revocation_list(ROOT))
    await kit.update("crls/two", crl=revocation_list(namesake, APP.serial))
    assert (await kit.log_in(APP)).metadata["cert_name"] == "role"
    twin = make("app", issuer=namesake, serial=APP.serial, usage=CLIENT)
    await refused(kit, twin)


async def test_a_revoked_authority_in_the_chain_counts_too(kit):
    middle = make("middle", issuer=ROOT, ca=True)
    below = client(middle, "below").with_chain(middle)
    assert (await kit.log_in(below)).alias == "below"
    await kit.update("crls/one", crl=revocation_list(ROOT, middle.serial))
    await refused(kit, below)


async def test_a_pinned_certificate_can_be_revoked_with_and_without_its_issuer_at_hand(kit):
    await kit.update("certs/role", certificate=APP.pem)
    await kit.update("crls/one", crl=revocation_list(ROOT, APP.serial))
    await refused(kit)
    await kit.update("certs/role", certificate=APP.pem + ROOT.pem)
    await refused(kit)
    await kit.update("crls/one", crl=revocation_list(ROOT))
    assert (await kit.log_in(APP)).alias == "app"


@pytest.mark.parametrize(
    "extension",
    [
        (x509.DeltaCRLIndicator(1), True),
        (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True),
    ],
)
async def test_a_list_that_means_something_else_is_refused(kit, extension):
    with pytest.raises(InvalidRequest, match="failed to parse CRL"):
        await kit.update("crls/one", crl=revocation_list(ROOT, extensions=[extension]))
    with pytest.raises(NotFound):
        await kit.list("crls")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"crl": "junk"},
        {"crl": ROOT.pem},
        {"crl": "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"},
        {"url": ""},
        {"url": "ftp://127.0.0.1/x"},
        {"url": "file:///etc/passwd"},
        {"url": "http://user:secret@127.0.0.1/x"},
    ],
)
async def test_what_is_no_list_is_refused_and_nothing_is_stored(kit, body):
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest) as refusal:
        await kit.update("crls/one", **body)
    assert "secret" not in str(refusal.value)
    assert kit.store.entries == before


async def test_a_long_list_is_asked_quickly_and_shown_whole(kit):
    serials = range(10**20, 10**20 + 20_000)
    await kit.update("crls/long", crl=revocation_list(ROOT, *serials))
    assert (await kit.log_in(APP)).alias == "app"
    assert len((await kit.read("crls/long"))["serials"]) == 20_000


# Lists that are fetched


class Publisher:
    """A web server with one list; ``status`` and ``text`` are what it answers."""

    def __init__(self):
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                publisher.asked += 1
                self.send_response(publisher.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(publisher.text)))
                self.end_headers()
                self.wfile.write(publisher.text)

            def log_message(self, *args):
                """Nobody reads it."""

        self.asked, self.status, self.text = 0, 200, revocation_list(ROOT).encode()
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/crl"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def publisher():
    made = Publisher()
    yield made
    made.stop()


async def wake(kit, name):
    """What the steward does when an errand is due; returns what was scheduled meanwhile."""
    transaction = kit.store.transaction()
    context = kit.context(Verb.UPDATE, "", MemoryView(transaction))
    asked = []
    context.schedule = lambda when, what: asked.append((when - kit.clock.now, what))
    await kit.engine.wake(context, name)
    transaction.commit()
    return asked


@pytest.fixture
def scheduling(kit, monkeypatch):
    """Let handlers schedule."""
    asked = []
    made = kit.context

    def context(*args):
        found = made(*args)
        found.schedule = lambda when, what: asked.append((when - kit.clock.now, what))
        return found

    monkeypatch.setattr(kit, "context", context)
    return asked


async def test_a_list_is_fetched_now_and_again_before_it_runs_out(kit, publisher, scheduling):
    await kit.update("crls/one", url=publisher.url)
    assert (await kit.read("crls/one"))["cdp"]["url"] == publisher.url
    (when, what) = scheduling[0]
    assert what == "crl/one"
    assert 60 <= when <= 86400 / 2
    publisher.text = revocation_list(ROOT, APP.serial).encode()
    assert (await kit.log_in(APP)).alias == "app"
    assert await wake(kit, "crl/one") == [], "too early: a second errand for the same list"
    kit.clock.advance(when)
    assert [name for _, name in await wake(kit, "crl/one")] == ["crl/one"]
    await refused(kit)


@pytest.mark.parametrize(
    ("status", "text"), [(404, b""), (302, b""), (200, b"<html>"), (200, b"x" * (9 << 20)), (500, b"")]
)
async def test_a_list_that_cannot_be_had_leaves_the_old_one_until_it_runs_out(
    kit, publisher, scheduling, status, text
):
    await kit.update("crls/one", url=publisher.url)
    before = await kit.read("crls/one")
    publisher.status, publisher.text = status, text
    kit.clock.advance(scheduling[0][0])
    for _ in range(2):
        assert await wake(kit, "crl/one") == [(60.0, "crl/one")]
        kit.clock.advance(60)
    assert await kit.read("crls/one") == before
    assert (await kit.log_in(APP)).alias == "app"
    kit.clock.advance(0.75 * 86400)
    await refused(kit)
    with pytest.raises(InvalidRequest):
        await kit.update("crls/other", url=publisher.url)


async def test_nobody_fetches_for_a_list_that_is_gone_or_was_uploaded_since(kit, publisher, scheduling):
    await kit.update("crls/one", url=publisher.url)
    await kit.update("crls/one", crl=revocation_list(ROOT))
    assert await wake(kit, "crl/one") == []
    assert await wake(kit, "crl/nothing") == []
    assert await wake(kit, "something else") == []
    assert publisher.asked == 1


async def test_settings_are_kept_and_bounded(kit):
    for bad in ({"ocsp_cache_size": 1}, {"role_cache_size": -2}, {"enable_metadata_on_failures": True}):
        with pytest.raises(InvalidRequest):
            await kit.update("config", **bad)
    await kit.update("config", role_cache_size=100, enable_metadata_on_failures=False)
    assert (await kit.read("config"))["role_cache_size"] == 100


def test_the_role_of_a_login_is_what_it_names(kit):
    assert kit.engine.role_of("login", {"name": "App"}) == "app"
    assert kit.engine.role_of("login", {}) == ""
    assert kit.engine.role_of("certs/x", {"name": "app"}) == ""
    assert kit.engine.role_of("login", {"name": 5}) == ""
