"""The algorithm matrix: whatever is wrong with a token's form or signature, it is refused in one sentence."""

from __future__ import annotations

import hashlib
import hmac
import json

import jwt
import pytest
from broker_plugins.auth.jwt.token import BAD_TOKEN, MAX_TOKEN
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin import InvalidRequest
from tests.fixtures.issuer import ED, OTHER_RSA, P256, P384, P521, RSA, b64, jwk, pem, signed

KEYS = {"RS256": RSA, "RS384": RSA, "RS512": RSA, "PS256": RSA, "PS384": RSA, "PS512": RSA}
KEYS |= {"ES256": P256, "ES384": P384, "ES512": P521, "EdDSA": ED}


def rs256(header: str, payload: str) -> str:
    """Any two parts, signed as they are."""
    text = f"{header}.{payload}"
    return f"{text}.{b64(RSA.sign(text.encode(), PKCS1v15(), hashes.SHA256()))}"


def hs(alg: str, secret: bytes, claims: dict, **headers) -> str:
    text = f"{b64({'alg': alg, 'typ': 'JWT', **headers})}.{b64(claims)}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return f"{text}.{b64(hmac.digest(secret, text.encode(), digest))}"


async def refused(kit, token: str) -> None:
    before = dict(kit.store.entries)
    with pytest.raises(InvalidRequest) as caught:
        await kit.log_in(token)
    assert str(caught.value) == BAD_TOKEN
    assert kit.store.entries == before


@pytest.mark.parametrize("alg", KEYS)
async def test_each_asymmetric_algorithm_works_with_a_key_of_its_kind(kit, alg):
    await kit.update("config", jwt_validation_pubkeys=[pem(key) for key in (RSA, P256, P384, P521, ED)])
    assert (await kit.log_in(key=KEYS[alg], alg=alg)).alias == "bob"


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("kind", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_no_algorithm_works_with_a_key_of_another_kind(kit, alg, kind):
    if KEYS[alg] is KEYS[kind]:
        return
    await kit.update("config", jwt_validation_pubkeys=pem(KEYS[kind]))
    await refused(kit, signed(kit.claims(), KEYS[alg], alg))


@pytest.mark.parametrize("alg", KEYS)
async def test_only_algorithms_of_the_configuration_are_taken(kit, alg):
    keys = [pem(key) for key in (RSA, P256, P384, P521, ED)]
    await kit.update("config", jwt_validation_pubkeys=keys, jwt_supported_algs=sorted(set(KEYS) - {alg}))
    await refused(kit, signed(kit.claims(), KEYS[alg], alg))
    await kit.update("config", jwt_validation_pubkeys=keys, jwt_supported_algs=[alg])
    assert (await kit.log_in(key=KEYS[alg], alg=alg)).alias == "bob"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 1, ["RS256"], {"a": 1}, True])
async def test_a_token_without_a_signature_is_refused(kit, alg):
    for tail in ("", ".", f".{b64(b'x')}"):
        await refused(kit, f"{b64({'alg': alg})}.{b64(kit.claims())}{tail}")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
async def test_the_public_key_is_no_secret_to_sign_with(kit, alg):
    public = RSA.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    texts = (pem(RSA), pem(RSA).strip(), pkcs1.decode(), json.dumps(jwk(RSA)), jwk(RSA)["n"])
    for secret in (*(text.encode() for text in texts), der, b""):
        await refused(kit, hs(alg, secret, kit.claims()))


async def test_a_symmetric_algorithm_cannot_be_configured(kit):
    for name in ("HS256", "none", "HS512", "RS1", "rs256", "dir", "ES256K", ""):
        with pytest.raises(InvalidRequest, match="unsupported signing algorithm"):
            await kit.update("config", jwt_validation_pubkeys=pem(RSA), jwt_supported_algs=[name])


async def test_a_symmetric_key_in_the_key_set_is_no_key(kit, issuer):
    issuer.keys = [{"kty": "oct", "k": b64(b"s" * 32), "kid": "k1", "alg": "HS256"}, jwk(RSA, "k2")]
    await kit.update("config", jwks_url=issuer.jwks_url)
    await refused(kit, hs("HS256", b"s" * 32, kit.claims(), kid="k1"))
    assert (await kit.log_in(kid="k2")).alias == "bob"


@pytest.mark.parametrize("numbers", [(0, 0), (0, 1), (1, 0)])
async def test_an_ecdsa_signature_of_zeros_is_refused(kit, numbers):
    await kit.update("config", jwt_validation_pubkeys=pem(P256))
    text = f"{b64({'alg': 'ES256'})}.{b64(kit.claims())}"
    raw = b"".join(number.to_bytes(32, "big") for number in numbers)
    for signature in (raw, b"\0" * 63, b"\0" * 65, b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\0"):
        await refused(kit, f"{text}.{b64(signature)}")


@pytest.mark.parametrize(
    "more",
    [
        {"crit": []},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["http://x"], "http://x": 1},
        {"b64": False},
        {"b64": True},
        {"enc": "A256GCM"},
        {"zip": "DEF"},
        {"kid": 1},
        {"kid": None},
        {"kid": ["k1"]},
        {"kid": {"k": 1}},
        {"kid": "k" * 600},
    ],
    ids=lambda more: json.dumps(more)[:30],
)
async def test_headers_that_change_the_reading_are_refused(kit, more):
    await refused(kit, rs256(b64({"alg": "RS256", **more}), b64(kit.claims())))


async def test_keys_and_addresses_in_the_header_are_never_used(kit, issuer):
    issuer.keys = [jwk(OTHER_RSA, "evil")]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evil")])
    certificate = jwk(OTHER_RSA)
    for more in (
        {"jku": issuer.jwks_url, "kid": "evil"},
        {"x5u": issuer.url + "/certificate"},
        {"jwk": certificate},
        {"x5c": [b64(name.public_bytes())]},
        {"x5t": "a", "x5t#S256": "b"},
    ):
        await refused(kit, signed(kit.claims(), OTHER_RSA, **more))
        assert (
            await kit.log_in(signed(kit.claims(), **more))
        ).alias == "bob"  # with a good signature: ignored
    assert issuer.hits == []


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "' OR 1=1--", "k1\0", "", "K1", "file:///dev/null", "k1 ", "é", "k" * 512]
)
async def test_a_key_id_is_compared_and_nothing_else(kit, issuer, kid):
    await kit.update("config", jwks_url=issuer.jwks_url)
    if kid:
        await refused(kit, signed(kit.claims(), kid=kid))
    assert set(issuer.hits) <= {"/keys"}
    await refused(kit, signed(kit.claims(), OTHER_RSA, kid=kid))


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        ".",
        "..",
        "...",
        "a" * 100,
        "." * 10_000,
        "é.b.c",
        "a.b.c\n",
        " a.b.c",
        "{}.{}.{}",
        "x" * (1 << 20),
        "a.b.c.d.e",
    ],
    ids=lambda token: token[:8],
)
async def test_what_is_no_token_is_refused(kit, token):
    await refused(kit, token)


async def test_other_shapes_are_refused(kit):
    good = signed(kit.claims())
    header, payload, signature = good.split(".")
    spare = chr(ord(signature[-1]) + 1)
    for token in (
        f"{header}.{payload}",
        f"{good}.",
        f"{good}.{signature}",
        f".{payload}.{signature}",
        f"{header}..{signature}",
        f"{header}.{payload}.",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}.{signature}==",
        f"{header}.{payload}.{signature[:-1]}{spare}",
        f"{header}.{payload}.{signature[:40]}+/{signature[42:]}",
        json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}),
        good.upper(),
        " " + good,
        good + "\n",
    ):
        await refused(kit, token)
    assert (await kit.log_in(good)).alias == "bob"


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"none","alg":"RS256"}',
        '{"alg":"RS256","alg":"RS256"}',
        '{"alg":"RS256","kid":NaN}',
        '{"alg":"RS256","x":1e999}',
        '{"alg":"RS256"',
        '["RS256"]',
        '"RS256"',
        "null",
        '{"alg":"RS256","x":' + "[" * 2000 + "]" * 2000 + "}",
        '{"alg":"RS256","x":"\ud800"}'.encode("utf-8", "surrogatepass"),
        '{"alg":"RS256","x":"' + "a" * 9000 + '"}',
    ],
    ids=range(11),
)
async def test_a_header_that_can_be_read_in_two_ways_is_refused(kit, header):
    await refused(kit, rs256(b64(header), b64(kit.claims())))


async def test_claims_that_can_be_read_in_two_ways_are_refused_even_if_signed(kit):
    exp = kit.claims()["exp"]
    head = b64({"alg": "RS256"})
    for payload in (
        f'{{"sub":"eve","sub":"bob","aud":"app","exp":{exp}}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":{{"b":1,"b":2}}}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":Infinity}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":1e400}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":[-1e400]}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":{"9" * 5000}}}',
        f'{{"sub":"bob","aud":"app","exp":{exp},"a":{"[" * 20_000}',
        '["sub"]',
        '"' + signed(kit.claims()) + '"',
        signed(kit.claims()),
        b"\xff\xfe",
    ):
        await refused(kit, rs256(head, b64(payload)))


async def test_a_nested_token_is_no_token(kit):
    await refused(kit, rs256(b64({"alg": "RS256", "cty": "JWT"}), b64(signed(kit.claims()))))


async def test_an_encrypted_token_is_refused(kit):
    await refused(kit, ".".join((b64({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d")))


async def test_a_token_over_the_limit_is_refused_before_it_is_read(kit):
    await refused(kit, signed(kit.claims(filler="x" * MAX_TOKEN)))
    assert (await kit.log_in(filler="x" * (MAX_TOKEN // 2))).alias == "bob"


async def test_another_key_is_refused(kit):
    await refused(kit, signed(kit.claims(), OTHER_RSA))


async def test_an_altered_token_is_refused(kit):
    header, _, signature = signed(kit.claims()).split(".")
    await refused(kit, f"{header}.{b64(kit.claims(sub='root'))}.{signature}")
    await refused(kit, f"{b64({'alg': 'RS512'})}.{b64(kit.claims())}.{signature}")


@given(st.text(max_size=60) | st.binary(max_size=60).map(b64))
@settings(max_examples=100)
async def test_any_text_is_refused_alike(text):
    from broker_plugins.auth.jwt.keys import keys_from_pem
    from broker_plugins.auth.jwt.token import BadToken, parse, verified

    def outcome(token: str) -> object:
        try:
            return verified(parse(token), keys_from_pem([pem(RSA)]), {"RS256"})
        except BadToken as error:
            return None if str(error) == BAD_TOKEN else error

    for token in (text, f"{text}.{text}.{text}", f"{b64({'alg': 'RS256'})}.{text}.{b64(b'x')}"):
        assert outcome(token) is None


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())],
    ids=["rsa1024", "k1"],
)
async def test_weak_and_unknown_keys_are_refused_when_they_are_configured(kit, key):
    with pytest.raises(InvalidRequest, match="expected RSA of 2048"):
        await kit.update("config", jwt_validation_pubkeys=pem(key))


async def test_a_private_key_is_no_public_key(kit):
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    private = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(InvalidRequest, match="error parsing public key") as caught:
        await kit.update("config", jwt_validation_pubkeys=private)
    assert "PRIVATE" not in str(caught.value)


def test_the_library_agrees_that_the_tokens_of_these_tests_are_good():
    claims = {"a": 1}
    for alg, key in KEYS.items():
        assert jwt.decode(signed(claims, key, alg), key.public_key(), algorithms=[alg]) == claims
