"""Bytes that are no certificate, list or answer, or not quite one, are refused; none of them is an internal error."""

import base64
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.plugin import InvalidRequest

from .authority import authority, client, dns, revocation_list, text_extension, uri
from .conftest import Kit
from .responder import Responder

ROOT = authority("Machines")
APP = client(
    ROOT,
    "app",
    names=[*dns("app.example.com"), *uri("spiffe://example.org/a")],
    units=("eng",),
    extensions=[(text_extension("one", "1.2.3.4"), False), (text_extension("two", "1.2.3.5"), False)],
)
LIST = x509.load_pem_x509_crl(revocation_list(ROOT, 1, 2, 3).encode()).public_bytes(Encoding.DER)


def broken(whole: bytes):
    """Strategies for what is left when a few bytes are changed, or the rest is missing."""
    places = st.dictionaries(st.integers(0, len(whole) - 1), st.integers(1, 255), min_size=1, max_size=3)
    return places.map(lambda at: changed(whole, at)) | st.integers(0, len(whole) - 1).map(
        lambda end: whole[:end]
    )


def changed(whole: bytes, at: dict[int, int]) -> bytes:
    data = bytearray(whole)
    for place, by in at.items():
        data[place % len(data)] ^= by
    return bytes(data)


async def kit_with_role(**more):
    kit = Kit()
    await kit.update("certs/role", certificate=ROOT.pem, **more)
    return kit


@settings(max_examples=100, deadline=None)
@given(broken(APP.der))
async def test_a_changed_certificate_is_refused(der):
    kit = await kit_with_role()
    kit.shows(der)
    with pytest.raises(InvalidRequest, match="invalid certificate"):
        await kit.update("login")


@settings(max_examples=50, deadline=None)
@given(broken(APP.der))
async def test_a_changed_certificate_beside_the_good_one_is_refused_or_ignored(der):
    kit = await kit_with_role()
    kit.shows(APP.der, der)
    with suppress(InvalidRequest):
        assert (await kit.update("login")).alias == "app"


@settings(max_examples=50, deadline=None)
@given(broken(ROOT.der))
async def test_a_changed_authority_is_refused_or_admits_nobody(der):
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"
    kit = Kit()
    try:
        await kit.update("certs/role", certificate=pem)
    except InvalidRequest:
        assert not kit.store.entries
        return
    other = client(authority("Somebody else"), "app")
    with pytest.raises(InvalidRequest):
        await kit.log_in(other)


@settings(max_examples=50, deadline=None)
@given(broken(LIST))
@example(changed(LIST, {8: 1}))  # another version
async def test_a_changed_list_is_refused_or_lets_nobody_in(der):
    pem = f"-----BEGIN X509 CRL-----\n{base64.encodebytes(der).decode()}-----END X509 CRL-----\n"
    kit = await kit_with_role()
    issuer_kept = True
    try:
        await kit.update("crls/one", crl=pem)
        issuer_kept = x509.load_der_x509_crl(der).issuer == ROOT.certificate.subject
    except InvalidRequest:
        assert (await kit.log_in(APP)).alias == "app"
        return
    if issuer_kept:
        with pytest.raises(InvalidRequest):
            await kit.log_in(APP)
    else:
        assert (await kit.log_in(APP)).alias == "app"


@pytest.fixture(scope="module")
def answers():
    made = Responder(ROOT, APP)
    yield made
    made.stop()


@settings(max_examples=60, deadline=None)
@given(at=st.dictionaries(st.integers(0, 1000), st.integers(1, 255), min_size=1, max_size=1))
async def test_a_changed_answer_of_a_responder_is_none(answers, at):
    kit = await kit_with_role(ocsp_enabled=True, ocsp_servers_override=answers.url)
    made = []

    def answer(body):
        whole = Responder.answer(answers, body)[1]
        made.append((whole, changed(whole, at)))
        return 200, made[-1][1]

    answers.answer = answer
    try:
        await kit.log_in(APP)
    except InvalidRequest as refusal:
        said = str(refusal)
    else:
        said = ""
    assert said.startswith("no chain matching") or _same_statement(*made[0])


def _same_statement(*answers):
    """Whether what is signed, and the signature, came through: what else an answer holds means nothing."""
    one, other = map(ocsp.load_der_ocsp_response, answers)
    return (one.tbs_response_bytes, one.signature) == (other.tbs_response_bytes, other.signature)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x2a\x03\x05", b"\x06\x03\x2a\x03\x04"),  # an extension twice
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"),  # version 10
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x00"),  # version 1, with extensions
    ],
)
async def test_certificates_that_break_the_rules_of_x509_are_refused(old, new):
    kit = await kit_with_role()
    assert APP.der.count(old) == 1
    for chain in ((APP.der.replace(old, new),), (APP.der, APP.der.replace(old, new))):
        kit.shows(*chain)
        with pytest.raises(InvalidRequest, match="invalid certificate"):
            await kit.update("login")
