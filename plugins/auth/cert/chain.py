"""From a client's certificate to a trusted authority: every way there, bounded in length and in work.

``cryptography`` checks the signatures; its own path building asks more of a certificate than the field's authorities give
(a subject alternative name, key identifiers) and takes no Ed25519, so the walk is here.
"""

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from .constraints import check_names
from .profile import Refused, check_issuer, check_leaf, strong_signature

MAX_OFFERED = 10
MAX_LENGTH = 6
MAX_SIGNATURES = 32
MAX_CHAINS = 16

Chain = tuple[x509.Certificate, ...]


class Walk:
    """One search. ``offered`` are the authorities that the client sent along; ``now`` in Unix seconds."""

    def __init__(self, leaf: x509.Certificate, offered: Sequence[x509.Certificate], now: float) -> None:
        self._leaf = leaf
        self._offered = offered
        self._now = now
        self._left = MAX_SIGNATURES
        self._chains = MAX_CHAINS
        self._signed: dict[tuple[int, int], bool] = {}

    def to(self, anchor: x509.Certificate) -> Iterator[Chain]:
        """Yield every good chain, leaf first, that ends at ``anchor``. None at all is the usual answer to a stranger."""
        for chain in self._extend((self._leaf,), anchor):
            if self._chains == 0:
                return
            self._chains -= 1
            try:
                self._check(chain)
            except Refused:
                continue
            yield chain

    def _extend(self, chain: Chain, anchor: x509.Certificate) -> Iterator[Chain]:
        top = chain[-1]
        if self._issued(top, anchor):
            yield (*chain, anchor)
        if len(chain) + 1 >= MAX_LENGTH:
            return
        for candidate in self._offered:
            if candidate not in chain and candidate != anchor and self._issued(top, candidate):
                yield from self._extend((*chain, candidate), anchor)

    def _issued(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        if certificate.issuer != issuer.subject:
            return False
        key = (id(certificate), id(issuer))
        if key not in self._signed:
            if self._left == 0:
                return False
            self._left -= 1
            self._signed[key] = signed_by(certificate, issuer)
        return self._signed[key]

    def _check(self, chain: Chain) -> None:
        check_leaf(chain[0], self._now)
        for height in range(1, len(chain)):
            check_issuer(chain[height], chain[1:height], self._now)
        if not all(strong_signature(certificate) for certificate in chain[:-1]):
            raise Refused("a signature over a weak hash")
        check_names(chain)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether ``issuer``'s key signed ``certificate``, and the names agree."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
