"""Batch tokens: all that a token stands for, sealed into the token itself, so that nothing needs to be stored.

Shape: ``hvb.``, base64url (no padding) of the sealed claims, and the namespace's suffix. The claims are sealed by the
tenant's own codec as an entry at ``sys/token/batch`` would be: bound to the tenant, good as long as the keyring has the
term they were sealed under. Nothing else makes such a token die early but its parent.
"""

import binascii
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from broker.access.records import TokenEntry
from broker.barrier.envelope import UnknownTerm
from broker.plugin.errors import Tampered
from broker.storage.ports import Codec

PREFIX = "hvb."
PLACE = "sys/token/batch"
MAX_LENGTH = 16_384
RETRY_SECONDS = 5.0
"""How long an unknown key term is taken to be a forgery after the keyring was read again for it."""

_TEXT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Claims(msgspec.Struct, frozen=True, array_like=True):
    """What a batch token stands for. Times are Unix seconds; fields are only ever added, at the end."""

    v: int
    policies: tuple[str, ...]
    path: str
    created_at: int
    ttl: int
    expires_at: float
    parent: str = ""
    display_name: str = "token"
    meta: dict[str, str] | None = None
    entity_id: str = ""
    role: str = ""
    bound_cidrs: tuple[str, ...] = ()
    no_identity_policies: bool = False
    capped_by: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode


class BatchTokens:
    """Seals and opens the batch tokens of one tenant."""

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._unknown: dict[int, float] = {}

    def seal(self, codec: Codec, entry: TokenEntry) -> str:
        """Return the token that stands for ``entry``."""
        claims = Claims(
            1,
            entry.policies,
            entry.path,
            entry.created_at,
            entry.ttl,
            int(entry.expires_at),
            entry.parent,
            entry.display_name,
            entry.meta,
            entry.entity_id,
            entry.role,
            entry.bound_cidrs,
            entry.no_identity_policies,
            entry.capped_by,
        )
        sealed = codec.seal(PLACE, _encode(claims))
        return PREFIX + urlsafe_b64encode(sealed).rstrip(b"=").decode() + self._suffix

    def open(self, codec: Codec, token: str) -> TokenEntry | None:
        """Return what a token stands for, or ``None`` if it is none of this tenant's. Its times are not judged here.

        Raises: UnknownTerm for a key term that is not in the keyring, at most once in a while: the keyring may be
        newer than this worker knows, so reading it again is worth a try.
        """
        sealed = self._sealed(token)
        if sealed is None:
            return None
        try:
            claims = _decode(codec.open(PLACE, sealed))
        except UnknownTerm as error:
            if self._tried(error.term):
                return None
            raise
        except (Tampered, msgspec.DecodeError):
            return None
        return TokenEntry(
            accessor="",
            policies=claims.policies,
            path=claims.path,
            created_at=claims.created_at,
            parent=claims.parent,
            display_name=claims.display_name,
            meta=claims.meta,
            ttl=claims.ttl,
            expires_at=claims.expires_at,
            type="batch",
            entity_id=claims.entity_id,
            role=claims.role,
            bound_cidrs=claims.bound_cidrs,
            issue_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims.created_at)),
            no_identity_policies=claims.no_identity_policies,
            capped_by=claims.capped_by,
        )

    def _sealed(self, token: str) -> bytes | None:
        text = token.removeprefix(PREFIX).removesuffix(self._suffix)
        if len(text) > MAX_LENGTH or PREFIX + text + self._suffix != token or not _TEXT.fullmatch(text):
            return None
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        # One spelling per token: the last character has bits that decoding ignores.
        return sealed if urlsafe_b64encode(sealed).rstrip(b"=").decode() == text else None

    def _tried(self, term: int) -> bool:
        now = time.monotonic()
        self._unknown = {known: when for known, when in self._unknown.items() if now - when < RETRY_SECONDS}
        if term in self._unknown or len(self._unknown) >= 4:
            return True
        self._unknown[term] = now
        return False
