"""One tenant's side of the barrier: bytes in, sealed bytes out, bound to tenant and path.

The data key of a term is HKDF-SHA256 over the keyring's term key, salted with the tenant's own secret. So one new
keyring term rotates every tenant at once, and destroying a tenant's secret makes all it ever wrote unreadable.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from broker.barrier import envelope
from broker.barrier.budget import EncryptionBudget
from broker.barrier.envelope import UnknownTerm, tampered
from broker.barrier.keyring import Keyring, Random
from broker.plugin.errors import Sealed
from broker.plugin.secret import Secret

ROOT: Final = "root"
"""The id of the root tenant."""

KeyringSource = Callable[[], Keyring | None]
"""Returns the keyring in force, or ``None`` while sealed; asked at every call, so it may be swapped at run time."""


class _TermKey(NamedTuple):
    cipher: AESGCM
    header: bytes
    frame: bytes


def new_tenant_secret(random: Random = os.urandom) -> Secret[bytes]:
    """Return 32 random bytes for a new tenant.

    They are kept as one entry of the *parent's* store, sealed by the parent's codec; deleting that entry
    destroys the tenant for good.
    """
    return Secret(random(envelope.KEY_BYTES))


def derive(term_key: bytes, secret: bytes, tenant: str, term: int) -> bytes:
    """Return the tenant's 32-byte data key for one term.

    HKDF-SHA256 (RFC 5869): the input is the term's key, the salt the tenant's secret, the info
    ``"broker tenant "``, the tenant's id and the term as 4 bytes.
    """
    info = b"broker tenant " + tenant.encode() + term.to_bytes(4, "big")
    return HKDF(hashes.SHA256(), envelope.KEY_BYTES, salt=secret, info=info).derive(term_key)


class TenantCodec:
    """Seals and opens the entries of one tenant. Cheap to call: ciphers are kept per term.

    Raises ``Sealed`` once the source gives no keyring, also where a key was already derived. All codecs of a worker
    share one ``budget``.
    """

    __slots__ = ("_active", "_budget", "_keyring", "_keys", "_secret", "_source", "tenant")

    def __init__(
        self,
        keyring_source: KeyringSource,
        tenant: str,
        tenant_secret: Secret[bytes],
        budget: EncryptionBudget | None = None,
    ) -> None:
        self.tenant = tenant
        self._budget = budget or EncryptionBudget()
        self._source = keyring_source
        self._secret = tenant_secret
        self._keyring: Keyring | None = None
        self._keys: dict[int, _TermKey] = {}
        self._active: _TermKey | None = None

    def seal(self, path: str, plaintext: bytes) -> bytes:
        """Encrypt one entry under the active term. Raises: Sealed."""
        keyring = self._source()
        key = self._active
        if keyring is not self._keyring or key is None:
            key = self._follow(keyring)
        self._budget.spend()
        nonce = os.urandom(envelope.NONCE_BYTES)
        return key.header + nonce + key.cipher.encrypt(nonce, plaintext, key.frame + path.encode())

    def open(self, path: str, sealed: bytes) -> bytes:
        """Decrypt one entry.

        Raises: Tampered if it was altered, or written at another path or by another tenant; UnknownTerm if the
        keyring lacks its term (reload the keyring, then try again); Sealed.
        """
        keyring = self._source()
        if keyring is None or keyring is not self._keyring:
            self._follow(keyring)
        key = self._keys.get(int.from_bytes(sealed[1:5], "big"))
        if key is None or len(sealed) < envelope.OVERHEAD_BYTES or sealed[0] != envelope.FORMAT:
            key = self._look_up(keyring, path, sealed)
        try:
            return key.cipher.decrypt(sealed[5:17], sealed[17:], key.frame + path.encode())
        except InvalidTag:
            raise tampered(path) from None

    def term_of(self, sealed: bytes) -> int:
        """Return the term an entry was sealed under. Raises: Tampered if it is not an entry."""
        return envelope.term_of(sealed, "(unknown)")

    def is_stale(self, sealed: bytes) -> bool:
        """Tell whether an entry would be sealed under a newer term today. Raises: Sealed, Tampered."""
        keyring = self._source()
        if keyring is None:
            raise Sealed
        return self.term_of(sealed) != keyring.active

    def forget(self) -> None:
        """Drop every derived key; the next call derives them again if the barrier is open."""
        self._keyring = self._active = None
        self._keys = {}

    def _follow(self, keyring: Keyring | None) -> _TermKey:
        """Take over a keyring that was swapped. Keys of known terms stay: a term never changes its key."""
        if keyring is None:
            self.forget()
            raise Sealed
        if self._keyring is not None and not _continues(self._keyring, keyring):
            self._keys = {}
        active = self._key(keyring, keyring.active)
        assert active is not None
        self._active, self._keyring = active, keyring
        return active

    def _look_up(self, keyring: Keyring | None, path: str, sealed: bytes) -> _TermKey:
        term = envelope.term_of(sealed, path)
        key = self._key(keyring, term) if keyring else None
        if key is None:
            raise UnknownTerm(path, term)
        return key

    def _key(self, keyring: Keyring, term: int) -> _TermKey | None:
        known = self._keys.get(term)
        if known is None:
            term_key = keyring.key(term)
            if term_key is None:
                return None
            data_key = derive(term_key, self._secret.reveal(), self.tenant, term)
            known = _TermKey(AESGCM(data_key), envelope.header(term), envelope.frame(term, self.tenant))
            self._keys[term] = known
        return known


def _continues(old: Keyring, new: Keyring) -> bool:
    """Tell whether ``new`` is a later state of ``old``, not another keyring or an older one put back."""
    return new.active >= old.active and new.key(old.active) == old.key(old.active)


def root_codec(source: KeyringSource, budget: EncryptionBudget | None = None) -> TenantCodec:
    """Return the codec of the root tenant, whose secret has no parent to live in and lies in the keyring.

    Raises: Sealed.
    """
    keyring = source()
    if keyring is None:
        raise Sealed
    return TenantCodec(source, ROOT, Secret(keyring.root_secret), budget)
