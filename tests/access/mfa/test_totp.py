"""One-time codes: the RFC's vectors, and what is no code."""

import base64

import pytest

from broker.access.mfa.records import Enforcement, MfaTable, TotpMethod, TotpSecret
from broker.access.mfa.totp import barcode, code_at, key_uri, matching_step

SEEDS = {
    "SHA1": b"12345678901234567890",
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}


@pytest.mark.parametrize(
    ("when", "algorithm", "code"),
    [
        (59, "SHA1", "94287082"),
        (59, "SHA256", "46119246"),
        (59, "SHA512", "90693936"),
        (1111111109, "SHA1", "07081804"),
        (1111111111, "SHA256", "67062674"),
        (1234567890, "SHA512", "93441116"),
        (2000000000, "SHA1", "69279037"),
        (20000000000, "SHA512", "47863826"),
    ],
)
def test_the_vectors_of_rfc_6238(when, algorithm, code):
    secret = TotpSecret(SEEDS[algorithm].hex(), algorithm=algorithm, digits=8)
    assert code_at(secret, when // 30) == code.encode()
    assert matching_step(secret, code, when) == when // 30


SECRET = TotpSecret(SEEDS["SHA1"].hex())
NOW = 1_700_000_000.0


def test_one_period_before_and_after_counts_and_no_more():
    here = int(NOW // 30)
    for away, good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = code_at(SECRET, here + away).decode()
        assert (matching_step(SECRET, code, NOW) is not None) == good
    exact = TotpSecret(SECRET.key, skew=0)
    assert matching_step(exact, code_at(SECRET, here - 1).decode(), NOW) is None


def test_only_the_exact_ascii_digits_are_a_code():
    code = code_at(SECRET, int(NOW // 30)).decode()
    arabic = "".join(chr(0x660 + int(digit)) for digit in code)
    for wrong in (
        f" {code}",
        f"{code} ",
        f"0{code}",
        f"{code}\n",
        code[:-1],
        arabic,
        "",
        "-" + code[1:],
        f"+{code[1:]}",
    ):
        assert matching_step(SECRET, wrong, NOW) is None, wrong


def test_the_uri_is_what_authenticator_apps_read():
    method = TotpMethod("id", "Acme & Co", digits=8)
    uri = key_uri(method, TotpSecret(b"0123456789".hex(), digits=8), "someone")
    assert uri == (
        "otpauth://totp/Acme%20%26%20Co:someone?algorithm=SHA1&digits=8&issuer=Acme%20%26%20Co&period=30"
        "&secret=GAYTEMZUGU3DOOBZ"
    )
    assert base64.b64decode(barcode(uri, 200)).startswith(b"\x89PNG")


def test_a_name_that_two_methods_have_names_neither():
    table = MfaTable(
        methods=(TotpMethod("1", "x", "phone"), TotpMethod("2", "x", "phone"), TotpMethod("3", "x", "key"))
    )
    assert table.method("phone") is None
    assert table.method("key").id == "3"
    assert table.method("1").id == "1"
    assert table.method("") is None


def test_an_enforcement_concerns_what_it_names_and_nothing_else():
    rule = Enforcement("i", "n", ("m",), accessors=("a",), types=("ldap",), groups=("g",), entities=("e",))
    base = {"accessor": "x", "kind": "userpass", "entity": "y", "groups": frozenset()}
    assert not rule.concerns(**base)
    assert rule.concerns(**base | {"accessor": "a"})
    assert rule.concerns(**base | {"kind": "ldap"})
    assert rule.concerns(**base | {"entity": "e"})
    assert rule.concerns(**base | {"groups": frozenset({"g", "h"})})
    assert not Enforcement("i", "n", ("m",), entities=("",)).concerns(**base | {"entity": ""})
