"""Revocation lists: reading them, fetching them, and asking them about a chain.

A list speaks for the authority that signed it and for no other. It is asked whenever that authority is in a chain: a list
that has run out, or that bears the authority's name but not its signature, lets nobody in until there is a better one.
Source: RFC 5280, section 5.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from broker.plugin import Context, InvalidRequest, View
from broker.plugin.outbound import OutboundFailed, fetch_aside

from .chain import Chain
from .paths import MAX_CRL
from .profile import Refused
from .records import CRLS_OF, Crl, Mark, crl_path, name_hash

PAUSE_SECONDS = 60.0
LONGEST_SECONDS = 86400.0
LONG = 64 * 1024
_PEM = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class NotSupported(Exception):
    """A list that means something else than "these are revoked"."""


class Parsed:
    """A list ready to be asked."""

    def __init__(self, der: bytes) -> None:
        self._list = x509.load_der_x509_crl(der)
        self.serials = frozenset(entry.serial_number for entry in self._list)
        self.issuer = self._list.issuer
        until = self._list.next_update_utc
        self.valid_until = until.timestamp() if until else 0.0
        self._signed: dict[bytes, bool] = {}
        self._check()

    def _check(self) -> None:
        for extension in self._list.extensions:
            value = extension.value
            if isinstance(value, x509.DeltaCRLIndicator) or (
                isinstance(value, x509.IssuingDistributionPoint)
                and (value.indirect_crl or value.only_contains_attribute_certs)
            ):
                raise NotSupported("delta, indirect and attribute lists are not supported")
            if extension.critical and not isinstance(value, x509.IssuingDistributionPoint):
                raise NotSupported("critical extension that is not understood")

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether an authority signed the list. The answer is kept: a list may be long."""
        key = issuer.public_bytes(Encoding.DER)
        if key not in self._signed:
            if len(self._signed) > 64:
                self._signed.clear()
            self._signed[key] = self._verify(issuer)
        return self._signed[key]

    def _verify(self, issuer: x509.Certificate) -> bool:
        try:
            return self._list.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return False


@lru_cache(maxsize=64)
def parse(der: bytes) -> Parsed:
    """Read a list. Raises: InvalidRequest."""
    try:
        return Parsed(der)
    except NotSupported as error:
        raise InvalidRequest(f"failed to parse CRL: {error}") from None
    except Exception:  # x509's own errors share no base
        raise InvalidRequest("failed to parse CRL") from None


def from_text(text: bytes, url: str = "") -> Crl:
    """Read a list as PEM, or DER as servers send it. Raises: InvalidRequest."""
    found = _PEM.search(text)
    try:
        der = x509.load_pem_x509_crl(found[0]).public_bytes(Encoding.DER) if found else text
    except (ValueError, TypeError, x509.InvalidVersion):
        raise InvalidRequest("failed to parse CRL: it is no PEM that holds one") from None
    parsed = parse(der)
    return Crl(der=der, issuer=name_hash(parsed.issuer), url=url, valid_until=parsed.valid_until)


async def download(ctx: Context, url: str) -> Crl:
    """Fetch a list. Raises: InvalidRequest for anything but a list."""
    try:
        answer = await fetch_aside("GET", url, headers={"Accept": "*/*"}, max_bytes=MAX_CRL)
    except OutboundFailed as error:
        raise InvalidRequest(f"cannot fetch the CRL: {error}") from None
    if answer.status != 200:
        raise InvalidRequest(f"unexpected response code {answer.status} fetching the CRL")
    found: Crl = await ctx.blocking(from_text, answer.body, url)
    return found


def next_visit(crl: Crl, now: float) -> float:
    """Return when to fetch a list again: half-way to its end, at least daily, at most once a minute."""
    left = (crl.valid_until - now) / 2 if crl.valid_until else LONGEST_SECONDS
    return now + min(max(left, PAUSE_SECONDS), LONGEST_SECONDS)


def save(storage: View, name: str, before: Crl | None, crl: Crl) -> None:
    """Store a list, and the way from its issuer to it."""
    if before is not None and before.issuer != crl.issuer:
        storage.delete(f"{CRLS_OF}{before.issuer}/{name}")
    storage.save(f"{CRLS_OF}{crl.issuer}/{name}", Mark())
    storage.save(crl_path(name), crl)


def forget(storage: View, name: str, crl: Crl) -> None:
    """Delete a list and the way to it."""
    storage.delete(f"{CRLS_OF}{crl.issuer}/{name}")
    storage.delete(crl_path(name))


async def discard(storage: View, name: str) -> None:
    """Delete a list that does not open. The way to it, which it does not tell any more, is looked for."""
    await storage.discard(crl_path(name))
    for path in await storage.scan(CRLS_OF):
        if path.partition("/")[2] == name:
            storage.delete(CRLS_OF + path)


def shown(crl: Crl) -> dict[str, Any]:
    """Return what a read answers."""
    about: dict[str, Any] = {"serials": {str(serial): {} for serial in sorted(parse(crl.der).serials)}}
    if crl.url:
        until = datetime.fromtimestamp(crl.valid_until, UTC).isoformat().replace("+00:00", "Z")
        about["cdp"] = {"url": crl.url, "valid_until": until if crl.valid_until else "0001-01-01T00:00:00Z"}
    return about


async def check_chain(ctx: Context, chain: Chain, behind: Sequence[x509.Certificate]) -> None:
    """Ask the lists about every certificate of a chain, leaf first. Raises: Refused.

    ``behind`` are further certificates among which the issuer of the last one may be.
    """
    for height, certificate in enumerate(chain):
        issuers = [chain[height + 1]] if height + 1 < len(chain) else [certificate, *behind]
        issuers = [issuer for issuer in issuers if issuer.subject == certificate.issuer]
        lists = await _lists_of(ctx, certificate.issuer)
        if lists:
            _ask(lists, certificate, issuers, ctx.now)


async def _lists_of(ctx: Context, issuer: x509.Name) -> list[Parsed]:
    found = []
    for name in await ctx.storage.list(f"{CRLS_OF}{name_hash(issuer)}/"):
        crl = await ctx.storage.load(crl_path(name), Crl)
        if crl is not None:
            # A long one may have to be read first, which is no work for the loop.
            found.append(parse(crl.der) if len(crl.der) < LONG else await ctx.blocking(parse, crl.der))
    return found


def _ask(
    lists: list[Parsed], certificate: x509.Certificate, issuers: list[x509.Certificate], now: float
) -> None:
    # Where nobody can say whose key the issuer's name stands for, every list in that name counts.
    known = [crl for crl in lists if not issuers or any(crl.signed_by(issuer) for issuer in issuers)]
    if not known:
        raise Refused("a revocation list in the issuer's name that the issuer did not sign")
    if any(certificate.serial_number in crl.serials for crl in known):
        raise Refused("revoked")
    if all(crl.valid_until and crl.valid_until < now for crl in known):
        raise Refused("the revocation list has run out")
