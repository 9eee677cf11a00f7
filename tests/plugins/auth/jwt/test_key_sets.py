"""Keys that a provider publishes: how long they are kept, what an outage does, what a flood may not do."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading

import pytest
from broker_plugins.auth.jwt import JwtMethod
from broker_plugins.auth.jwt.remote import FORCED, REFRESH, RETRY, STALE, Kept, Source, Unreachable
from broker_plugins.auth.jwt.token import BAD_TOKEN

from broker.plugin import InvalidRequest
from tests.fixtures.issuer import ED, OTHER_RSA, P256, RSA, IssuerServer, jwk, signed
from tests.plugin.test_outbound import certificate, saying, serving
from tests.plugins.auth.jwt.kits import Kit


class Watch:
    """A monotonic clock that stands still until it is told to move."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def remote(kit, issuer):
    """A mount with the issuer's key set, and a clock for what it keeps."""
    await kit.update("config", jwks_url=issuer.jwks_url)
    kit.watch = Watch()
    ctx_config = await kit.engine.config(_context(kit))
    kit.engine._source = Source(ctx_config, kit.watch)
    issuer.hits.clear()
    return kit


def _context(kit):
    from broker.plugin.testing.memory import MemoryView

    return kit.context("read", "config", MemoryView(kit.store.transaction()))


async def refused(kit, **how):
    with pytest.raises(InvalidRequest) as caught:
        await kit.log_in(**how)
    return str(caught.value)


async def test_keys_are_fetched_once_and_kept(remote, issuer):
    for _ in range(5):
        assert (await remote.log_in(kid="k1")).alias == "bob"
    assert issuer.hits == ["/keys"]


async def test_many_logins_at_once_ask_once(remote, issuer):
    await asyncio.gather(*(remote.log_in(kid="k1") for _ in range(20)))
    assert issuer.hits == ["/keys"]


async def test_a_rotated_key_is_found_at_once(remote, issuer):
    await remote.log_in(kid="k1")
    issuer.keys = [jwk(RSA, "k1"), jwk(OTHER_RSA, "k2")]
    remote.watch.now += FORCED
    assert (await remote.log_in(key=OTHER_RSA, kid="k2")).alias == "bob"
    assert issuer.hits == ["/keys", "/keys"]


async def test_a_flood_of_unknown_keys_does_not_become_a_flood_at_the_provider(remote, issuer):
    await remote.log_in(kid="k1")
    remote.watch.now += FORCED
    for number in range(50):
        assert await refused(remote, kid=f"made-up-{number}") == BAD_TOKEN
    assert issuer.hits == ["/keys", "/keys"]
    await asyncio.gather(*(refused(remote, kid=f"more-{number}") for number in range(50)))
    assert issuer.hits == ["/keys", "/keys"]
    assert (await remote.log_in(kid="k1")).alias == "bob"


async def test_an_unknown_key_holds_up_nobody_while_the_provider_is_slow(remote, issuer):
    await remote.log_in(kid="k1")
    remote.watch.now += FORCED
    gate = threading.Event()
    issuer.before = lambda path: gate.wait(10)
    waiting = asyncio.create_task(refused(remote, kid="unknown"))
    while len(issuer.hits) < 2:
        await asyncio.sleep(0.005)
    assert (await remote.log_in(kid="k1")).alias == "bob"
    gate.set()
    assert await waiting == BAD_TOKEN


async def test_a_removed_key_stops_working_when_the_keys_are_due(remote, issuer):
    await remote.log_in(kid="k1")
    issuer.keys = [jwk(OTHER_RSA, "k2")]
    remote.watch.now += REFRESH - 120
    assert (await remote.log_in(kid="k1")).alias == "bob"
    remote.watch.now += 120
    assert await refused(remote, kid="k1") == BAD_TOKEN


async def test_keys_are_asked_for_a_little_ahead_without_waiting(remote, issuer):
    await remote.log_in(kid="k1")
    remote.watch.now += REFRESH - 30
    gate = threading.Event()
    issuer.before = lambda path: gate.wait(10)
    assert (await remote.log_in(kid="k1")).alias == "bob"  # while the provider has not answered yet
    gate.set()
    while remote.engine._source._keys._task is not None:
        await asyncio.sleep(0.005)
    remote.watch.now += 60
    await remote.log_in(kid="k1")
    assert issuer.hits == ["/keys", "/keys"]


async def test_an_outage_is_bridged_for_as_long_as_stated_and_no_longer(remote, issuer):
    await remote.log_in(kid="k1")
    issuer.status = 503
    for age in (REFRESH, REFRESH + RETRY + 1, STALE / 2, STALE - 1):
        remote.watch.now = 1000 + age
        assert (await remote.log_in(kid="k1")).alias == "bob"
    remote.watch.now = 1000 + STALE
    assert "the provider answered 503" in await refused(remote, kid="k1")
    issuer.status = 200
    remote.watch.now += RETRY
    assert (await remote.log_in(kid="k1")).alias == "bob"


async def test_a_provider_that_is_down_is_not_asked_by_every_login(remote, issuer):
    issuer.status = 500
    for _ in range(10):
        await refused(remote, kid="k1")
    assert issuer.hits == ["/keys"]
    remote.watch.now += RETRY
    issuer.status = 200
    assert (await remote.log_in(kid="k1")).alias == "bob"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'{"keys": 1}',
        b'{"keys": {}}',
        b'{"x": []}',
        b'{"keys": [' + b"[" * 100_000,
        b'{"keys": "' + b"x" * (2 << 20) + b'"}',
    ],
    ids=["empty", "text", "list", "null", "number", "object", "other", "deep", "2MiB"],
)
async def test_an_answer_that_is_no_key_set_is_refused(kit, issuer, raw):
    issuer.raw = raw
    with pytest.raises(InvalidRequest, match="error checking jwks URL"):
        await kit.update("config", jwks_url=issuer.jwks_url)


async def test_redirects_are_not_followed(kit, issuer):
    canary = IssuerServer()
    issuer.status, issuer.headers = 302, {"Location": canary.issuer.jwks_url}
    with pytest.raises(InvalidRequest, match="redirects"):
        await kit.update("config", jwks_url=issuer.jwks_url)
    canary.stop()
    assert canary.issuer.hits == []


async def test_what_a_provider_says_is_not_repeated(kit, issuer):
    issuer.status, issuer.raw = 500, b"internal-canary"
    with pytest.raises(InvalidRequest) as caught:
        await kit.update("config", jwks_url=issuer.jwks_url)
    assert "canary" not in str(caught.value)


async def test_two_keys_of_one_name_are_both_tried(remote, issuer):
    issuer.keys = [jwk(OTHER_RSA, "k1"), jwk(RSA, "k1"), jwk(P256, "k1")]
    assert (await remote.log_in(kid="k1")).alias == "bob"
    assert (await remote.log_in(key=P256, alg="ES256", kid="k1")).alias == "bob"


async def test_keys_that_cannot_be_used_are_left_out(remote, issuer):
    good = jwk(RSA, "good")
    issuer.keys = [
        "nonsense",
        None,
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {**jwk(RSA, "k1"), "use": "enc"},
        {**jwk(RSA, "k1"), "key_ops": ["encrypt"]},
        {**jwk(RSA, "k1"), "alg": "RS512"},
        {**jwk(RSA, "k1"), "d": "AQAB"},
        {**jwk(RSA), "kid": 5},
        {
            **good,
            "use": "sig",
            "key_ops": ["verify"],
            "alg": "RS256",
            "x5u": "http://127.0.0.1/",
            "extra": {},
        },
        jwk(ED, "ed"),
    ]
    assert await refused(remote, kid="k1") == BAD_TOKEN
    assert (await remote.log_in(kid="good")).alias == "bob"
    assert (await remote.log_in(key=ED, alg="EdDSA", kid="ed")).alias == "bob"


async def test_a_token_that_names_no_key_is_tried_with_all(remote, issuer):
    issuer.keys = [jwk(OTHER_RSA, "a"), jwk(RSA, "b")]
    assert (await remote.log_in()).alias == "bob"


async def test_a_rotation_at_an_issuer_that_names_no_keys_is_found_too(remote, issuer):
    issuer.keys = [jwk(OTHER_RSA)]
    assert await refused(remote) == BAD_TOKEN
    issuer.keys = [jwk(RSA)]
    remote.watch.now += FORCED
    assert (await remote.log_in()).alias == "bob"


async def test_a_key_without_a_name_is_not_any_key(remote, issuer):
    issuer.keys = [jwk(RSA)]
    assert await refused(remote, kid="k1") == BAD_TOKEN
    assert (await remote.log_in()).alias == "bob"


async def test_two_mounts_with_keys_of_one_name_do_not_mix(issuer):
    other = IssuerServer()
    other.issuer.keys = [jwk(OTHER_RSA, "k1")]
    kits = []
    for source in (issuer, other.issuer):
        kit = Kit(JwtMethod)
        await kit.update("config", jwks_url=source.jwks_url)
        await kit.set_role()
        kits.append(kit)
    assert (await kits[0].log_in(kid="k1")).alias == "bob"
    assert (await kits[1].log_in(key=OTHER_RSA, kid="k1")).alias == "bob"
    assert await refused(kits[0], key=OTHER_RSA, kid="k1") == BAD_TOKEN
    assert await refused(kits[1], kid="k1") == BAD_TOKEN
    other.stop()


async def test_another_configuration_forgets_the_keys_of_the_one_before(kit, issuer):
    await kit.update("config", jwks_url=issuer.jwks_url)
    assert (await kit.log_in(kid="k1")).alias == "bob"
    issuer.keys = [jwk(OTHER_RSA, "k1")]
    await kit.update("config", jwks_url=issuer.jwks_url)
    assert await refused(kit, kid="k1") == BAD_TOKEN


async def test_discovery_leads_to_the_keys(kit, issuer):
    await kit.update("config", oidc_discovery_url=issuer.url)
    assert (await kit.log_in(kid="k1")).alias == "bob"
    assert (await kit.log_in(kid="k1")).alias == "bob"
    assert issuer.hits.count("/keys") == 1
    assert (await kit.read("config")).data["status"] == "valid"


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "nonsense", 5, None, "https://a:b@idp.example/"])
async def test_a_discovered_address_must_be_one(kit, issuer, uri):
    issuer.discovery = {"jwks_uri": uri}
    await kit.update("config", oidc_discovery_url=issuer.url, skip_jwks_validation=True)
    await refused(kit, kid="k1")


async def test_a_provider_at_https_cannot_send_us_to_http():
    from broker_plugins.auth.jwt.remote import _endpoint

    with pytest.raises(InvalidRequest, match="jwks_uri is not https"):
        _endpoint({"jwks_uri": "http://idp.example/keys"}, "jwks_uri", "https://idp.example")
    assert _endpoint({"jwks_uri": "https://keys.example/"}, "jwks_uri", "https://idp.example")


async def test_a_certificate_of_another_name_if_the_configuration_says_so(kit, tmp_path):
    pem, private = certificate("keys.example")
    (tmp_path / "server.pem").write_text(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    body = json.dumps({"keys": [jwk(RSA, "k1")]}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving(saying(answer), context) as (port, _):
        config = {"jwks_url": f"https://127.0.0.1:{port}/keys", "jwks_ca_pem": pem}
        with pytest.raises(InvalidRequest, match="certificate is not trusted"):
            await kit.update("config", **config)
        with pytest.raises(InvalidRequest, match="certificate is not trusted"):
            await kit.update("config", **config, override_allowed_server_names="other.example")
        await kit.update("config", **config, override_allowed_server_names="other.example,keys.example")
        assert (await kit.log_in(kid="k1")).alias == "bob"


async def test_an_unexpected_failure_is_kept_quiet():
    async def broken() -> str:
        raise RuntimeError("canary")

    kept = Kept(broken, Watch())
    with pytest.raises(Unreachable) as caught:
        await kept.get()
    assert "canary" not in str(caught.value)


async def test_a_caller_that_gives_up_does_not_stop_the_others():
    gate, calls = asyncio.Event(), []

    async def slow() -> str:
        calls.append(1)
        await gate.wait()
        return "keys"

    kept = Kept(slow, Watch())
    first, second = asyncio.create_task(kept.get()), asyncio.create_task(kept.get())
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "keys"
    assert calls == [1]


async def test_a_login_costs_no_outside_call_once_the_keys_are_known(remote, issuer):
    await remote.log_in(kid="k1")
    tokens = [signed(remote.claims(sub=f"user-{number}"), kid="k1") for number in range(100)]
    for token in tokens:
        await remote.log_in(token)
    assert issuer.hits == ["/keys"]
