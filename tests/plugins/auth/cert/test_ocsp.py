"""A responder's clear, signed and current "good" lets in; with ``ocsp_fail_open`` so does silence, but never "revoked"."""

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from broker.plugin import InvalidRequest

from .authority import authority, client, make
from .responder import Responder, names_responder

ROOT = authority("Machines")
APP, OTHER = client(ROOT, "app"), client(ROOT, "other")
SIGNING = (ExtendedKeyUsageOID.OCSP_SIGNING,)


@pytest.fixture
def responder():
    made = Responder(ROOT, APP, OTHER)
    yield made
    made.stop()


@pytest.fixture
async def ask(kit, responder):
    """Log in with a role that asks the responder; ``ask(ocsp_fail_open=True)`` changes the role first."""

    async def log_in(holder=APP, **more):
        settings = {
            "certificate": ROOT.pem,
            "ocsp_enabled": True,
            "ocsp_servers_override": responder.url,
            "ocsp_fail_open": False,
            "ocsp_query_all_servers": False,
        }
        await kit.update("certs/role", **{**settings, **more})
        try:
            return (await kit.log_in(holder)).alias
        except InvalidRequest as refusal:
            return str(refusal)

    return log_in


REFUSED = "no chain matching all constraints could be found for this login certificate"


async def test_good_lets_in_and_is_remembered_for_a_while(ask, responder, kit):
    assert await ask() == "app"
    assert await ask() == "app"
    assert responder.asked == 1
    responder.says[APP.serial] = "revoked"
    assert await ask() == "app"
    kit.clock.advance(301)
    assert await ask() == REFUSED


async def test_what_is_remembered_is_bounded(ask, responder, kit):
    await kit.update("config", ocsp_cache_size=2)
    third = client(ROOT, "third")
    responder.known[third.serial] = third
    for holder in (APP, OTHER, third, APP):
        await ask(holder)
    assert responder.asked == 4


@pytest.mark.parametrize("fail_open", [False, True])
async def test_revoked_is_final(ask, responder, fail_open):
    responder.says[APP.serial] = "revoked"
    assert await ask(ocsp_fail_open=fail_open) == REFUSED
    assert await ask(OTHER, ocsp_fail_open=fail_open) == "other"


def _wrong(**changes):
    return changes


@pytest.mark.parametrize(
    "wrong",
    [
        _wrong(says={APP.serial: "unknown"}),
        _wrong(mood="error"),
        _wrong(mood="redirect"),
        _wrong(mood="junk"),
        _wrong(mood="empty"),
        _wrong(mood="huge"),
        _wrong(mood="later"),
        _wrong(mood="slow"),
        _wrong(since=-48, until=-24),
        _wrong(since=-48, until=None),
        _wrong(since=24, until=48),
        _wrong(about=OTHER),
        _wrong(nonce=b"not the nonce"),
        _wrong(signer=authority("Machines")),
        _wrong(signer=authority("Somebody else")),
        _wrong(signer=client(ROOT, "no responder")),
        _wrong(signer=make("foreign", issuer=authority("Machines"), usage=SIGNING)),
        _wrong(signer=make("expired", issuer=ROOT, usage=SIGNING, since=-3, until=-1)),
        _wrong(signer=make("weak", issuer=ROOT, usage=SIGNING, kind="rsa1024")),
        _wrong(signer=authority("Somebody else"), sends=(ROOT,)),
    ],
)
async def test_anything_else_is_no_answer(ask, responder, wrong, monkeypatch):
    monkeypatch.setattr("broker_plugins.auth.cert.ocsp.TIMEOUT_SECONDS", 0.2)
    for name, value in wrong.items():
        setattr(responder, name, value)
    assert await ask() == REFUSED
    assert await ask(ocsp_fail_open=True) == "app"


async def test_a_responder_that_the_issuer_named_may_answer(ask, responder):
    responder.signer = make("responder", issuer=ROOT, usage=SIGNING)
    assert await ask() == "app"


async def test_a_responder_that_the_role_trusts_may_answer_and_nothing_else(ask, responder):
    trusted = make("corporate responder", usage=SIGNING)
    responder.signer = trusted
    assert await ask() == REFUSED
    assert await ask(ocsp_ca_certificates=trusted.pem) == "app"
    assert "invalid certificate" in await ask(client(trusted, "app"), ocsp_ca_certificates=trusted.pem)


async def test_the_certificate_names_its_responder_unless_the_role_does(ask, responder, monkeypatch):
    monkeypatch.setattr("broker.plugin.outbound.is_public", lambda address: address == "127.0.0.1")
    named = client(ROOT, "named", extensions=[names_responder(responder.url)])
    responder.known[named.serial] = named
    assert await ask(named, ocsp_servers_override="") == "named"
    assert await ask(APP, ocsp_servers_override="") == REFUSED
    assert await ask(APP, ocsp_servers_override="", ocsp_fail_open=True) == "app"
    assert await ask(named, ocsp_servers_override="http://127.0.0.1:9") == REFUSED


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_a_certificate_has_no_responder_asked_on_our_side_of_the_internet(ask, responder, host):
    url = f"http://{host}:{responder.server.server_address[1]}"
    named = client(ROOT, "named", extensions=[names_responder(url)])
    responder.known[named.serial] = named
    assert await ask(named, ocsp_servers_override="") == REFUSED
    assert await ask(named, ocsp_servers_override="", ocsp_fail_open=True) == "named"
    assert responder.asked == 0
    assert await ask(named, ocsp_servers_override=responder.url) == "named"
    assert responder.asked == 1


async def test_an_address_in_a_certificate_is_no_way_to_files_or_other_schemes(ask):
    named = client(ROOT, "named", extensions=[names_responder("file:///etc/passwd")])
    assert await ask(named, ocsp_servers_override="") == REFUSED


async def test_the_first_answer_counts_or_all_of_them(ask, responder):
    second = Responder(ROOT, APP)
    second.says[APP.serial] = "revoked"
    both = f"{responder.url},{second.url}"
    try:
        assert await ask(ocsp_servers_override=f"http://127.0.0.1:9,{responder.url}") == "app"
        assert await ask(ocsp_servers_override=both) == "app"
        assert await ask(ocsp_servers_override=both, ocsp_query_all_servers=True) == REFUSED
        second.mood = "error"
        assert await ask(ocsp_servers_override=both, ocsp_query_all_servers=True) == REFUSED
        assert (
            await ask(ocsp_query_all_servers=True, ocsp_servers_override=both, ocsp_fail_open=True) == "app"
        )
    finally:
        second.stop()


async def test_a_pinned_certificate_is_asked_about_with_its_issuer_at_hand(ask, responder):
    assert await ask(certificate=APP.pem) == REFUSED, "nobody to stand behind an answer"
    assert await ask(certificate=APP.pem + ROOT.pem) == "app"
    responder.says[OTHER.serial] = "revoked"
    assert await ask(OTHER, certificate=OTHER.pem + ROOT.pem) == REFUSED
