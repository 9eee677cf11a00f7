"""Asking an OCSP responder whether a client's certificate still holds.

Good is what a responder that the issuer stands behind says, signed, of this certificate, for now. Anything else is no answer:
the login is refused, unless the role says ``ocsp_fail_open``. Revoked is final either way. Source: RFC 6960.

An address that a certificate names is asked only on the open internet: whoever has a say in what goes into a certificate must
not have us call our own machine, its neighbours or a cloud's metadata service. Responders in between are for the role to list.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from broker.plugin import BrokerError, Context
from broker.plugin.outbound import fetch_aside

from .bundle import read_pem
from .chain import signed_by
from .profile import Refused, extension, is_strong_hash, strong_key, strong_signature
from .records import Role, fingerprint

TIMEOUT_SECONDS = 5.0
MAX_ANSWER = 64 * 1024
MAX_SERVERS = 4
SLACK_SECONDS = 60.0
KEEP_SECONDS = 300.0
ALONE_SECONDS = 3600.0
"""How old an answer may be that does not say until when it holds."""

DEFAULT_CACHE = 100


class NoAnswer(Exception):
    """A responder said nothing that counts."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which certificate is asked about, and who may answer besides its issuer."""

    leaf: x509.Certificate
    issuer: x509.Certificate
    trusted: tuple[x509.Certificate, ...]
    nonce: bytes

    def encoded(self) -> tuple[ocsp.OCSPRequest, bytes]:
        # SHA-1 names the issuer here and protects nothing; responders need not know another hash (RFC 5019).
        named = ocsp.OCSPRequestBuilder().add_certificate(self.leaf, self.issuer, hashes.SHA1())  # noqa: S303
        request = named.add_extension(x509.OCSPNonce(self.nonce), critical=False).build()
        return request, request.public_bytes(Encoding.DER)


class Responders:
    """The responders that one mount asks in one worker, and what they said a moment ago."""

    def __init__(self) -> None:
        self._good: OrderedDict[tuple[str, ...], float] = OrderedDict()

    async def check(
        self, ctx: Context, role: Role, leaf: x509.Certificate, issuers: Sequence[x509.Certificate], size: int
    ) -> None:
        """Raise Refused unless the certificate holds. ``issuers``: those above it, or that may be; ``size`` of the cache."""
        servers = list(role.ocsp_servers_override or _named_in(leaf))[:MAX_SERVERS]
        issuer = next((found for found in issuers if found != leaf and signed_by(leaf, found)), None)
        if issuer is None or not servers:
            self._undecided(role)
            return
        said_by = (role.ocsp_ca_certificates, str(role.ocsp_query_all_servers), *servers)
        key = (fingerprint(leaf), fingerprint(issuer), *said_by)
        if self._good.get(key, 0) > ctx.now:
            return
        trusted = read_pem(role.ocsp_ca_certificates) if role.ocsp_ca_certificates else ()
        until = await self._ask(ctx, role, servers, Question(leaf, issuer, trusted, ctx.random(16)))
        if until:
            self._keep(key, min(until, ctx.now + KEEP_SECONDS), size or DEFAULT_CACHE)

    def _undecided(self, role: Role) -> None:
        if not role.ocsp_fail_open:
            raise Refused("no responder says that the certificate holds")

    def _keep(self, key: tuple[str, ...], until: float, size: int) -> None:
        self._good[key] = until
        self._good.move_to_end(key)
        while len(self._good) > size:
            self._good.popitem(last=False)

    async def _ask(self, ctx: Context, role: Role, servers: Iterable[str], question: Question) -> float:
        """Ask one server after the other. Returns until when "good" may be repeated, 0 for not at all. Raises: Refused."""
        until: list[float] = []
        silent = False
        for server in servers:
            try:
                until.append(
                    await _answer_of(server, question, ctx.now, listed=bool(role.ocsp_servers_override))
                )
            except NoAnswer:
                silent = True
                continue
            if not role.ocsp_query_all_servers:
                return until[0]
        if not until or silent:
            self._undecided(role)
            return 0
        return min(until)


async def _answer_of(server: str, question: Question, now: float, *, listed: bool) -> float:
    """Return until when a responder's "good" holds. Raises: NoAnswer; Refused if it says "revoked".

    One that is not ``listed`` by the operator is asked on the open internet only.
    """
    request, body = question.encoded()
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    try:
        answer = await fetch_aside(
            "POST",
            server,
            headers=headers,
            body=body,
            timeout=TIMEOUT_SECONDS,
            max_bytes=MAX_ANSWER,
            public_only=not listed,
        )
    except BrokerError:
        raise NoAnswer from None
    if answer.status != 200:
        raise NoAnswer
    try:
        response = ocsp.load_der_ocsp_response(answer.body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise NoAnswer
        _check_signature(response, question, now)
        _check_nonce(response, question.nonce)
        return _judge(response, request, now)
    except (NoAnswer, Refused):
        raise
    except Exception:  # whatever came, it is no answer; x509's own errors share no base
        raise NoAnswer from None


def _judge(response: ocsp.OCSPResponse, request: ocsp.OCSPRequest, now: float) -> float:
    found = next((single for single in response.responses if _is_about(single, request)), None)
    if found is None:
        raise NoAnswer
    if found.this_update_utc.timestamp() > now + SLACK_SECONDS:
        raise NoAnswer
    until = found.next_update_utc.timestamp() if found.next_update_utc else 0.0
    end = until or found.this_update_utc.timestamp() + ALONE_SECONDS
    if end + SLACK_SECONDS < now:
        raise NoAnswer
    if found.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        raise Refused("revoked")
    if found.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise NoAnswer
    return until


def _is_about(single: ocsp.OCSPSingleResponse, request: ocsp.OCSPRequest) -> bool:
    return (
        single.serial_number == request.serial_number
        and single.hash_algorithm.name == request.hash_algorithm.name
        and single.issuer_key_hash == request.issuer_key_hash
        and single.issuer_name_hash == request.issuer_name_hash
    )


def _check_nonce(response: ocsp.OCSPResponse, nonce: bytes) -> None:
    """A nonce need not come back; one that does must be ours. Raises: NoAnswer."""
    found = extension(response, x509.OCSPNonce)
    if found is not None and found.nonce != nonce:
        raise NoAnswer


def _check_signature(response: ocsp.OCSPResponse, question: Question, now: float) -> None:
    """Check that the issuer, someone it named for this, or one that the role trusts, signed. Raises: NoAnswer."""
    hash_ = response.signature_hash_algorithm
    if hash_ is not None and not is_strong_hash(hash_):
        raise NoAnswer
    named = (found for found in response.certificates if _may_answer(found, question.issuer, now))
    for signer in (question.issuer, *question.trusted, *named):
        if strong_key(signer) and _signed(response, signer.public_key()):
            return
    raise NoAnswer


def _may_answer(signer: x509.Certificate, issuer: x509.Certificate, now: float) -> bool:
    """Tell whether the issuer itself made this certificate, for answering in its place (RFC 6960, 4.2.2.2)."""
    usage = extension(signer, x509.ExtendedKeyUsage)
    at = datetime.fromtimestamp(now, UTC)
    return (
        usage is not None
        and ExtendedKeyUsageOID.OCSP_SIGNING in usage
        and signer.not_valid_before_utc <= at <= signer.not_valid_after_utc
        and strong_signature(signer)
        and signed_by(signer, issuer)
    )


def _signed(response: ocsp.OCSPResponse, key: Any) -> bool:
    signature, signed, hash_ = (
        response.signature,
        response.tbs_response_bytes,
        response.signature_hash_algorithm,
    )
    try:
        if isinstance(key, rsa.RSAPublicKey) and hash_ is not None:
            key.verify(signature, signed, padding.PKCS1v15(), hash_)
        elif isinstance(key, ec.EllipticCurvePublicKey) and hash_ is not None:
            key.verify(signature, signed, ec.ECDSA(hash_))
        elif hash_ is None and not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            key.verify(signature, signed)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _named_in(leaf: x509.Certificate) -> list[str]:
    """Return the responders that a certificate names."""
    return [
        access.access_location.value
        for access in extension(leaf, x509.AuthorityInformationAccess) or ()
        if access.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(access.access_location, x509.UniformResourceIdentifier)
    ]


__all__ = ["Responders"]
