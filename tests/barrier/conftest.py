"""A barrier in memory: what a node would have read from its store and holds once unsealed."""

import base64
import os
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from broker_plugins.seals.shamir.seal import ShamirSeal
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.barrier.authority import Authority
from broker.barrier.initialise import Initialised, initialise
from broker.barrier.issue import ShareRequest
from broker.barrier.records import BarrierRecords
from broker.barrier.shares import Group
from broker.barrier.unseal import Unsealed, submit
from broker.plugin.errors import Tampered
from broker.plugin.seal import Seal, SealKind
from broker.plugin.secret import Secret

NOW = datetime(2030, 1, 1, tzinfo=UTC)
COMPANY = ShareRequest((Group(3, 5, "security"), Group(2, 3, "operations"), Group(1, 1, "board")), 2)


class LocalSeal(Seal):
    """An auto seal whose key lies in this process: opens without people."""

    kind = SealKind.AUTO

    def __init__(self) -> None:
        self._cipher = AESGCM(os.urandom(32))

    async def wrap(self, root_key: Secret[bytes], key: Secret[bytes] | None) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, root_key.reveal(), None)

    async def unwrap(self, wrapped: bytes, key: Secret[bytes] | None) -> Secret[bytes]:
        try:
            return Secret(self._cipher.decrypt(wrapped[:12], wrapped[12:], None))
        except Exception:
            raise Tampered("the root key does not open") from None


@dataclass
class Node:
    """Stored records, seal, and what is in memory."""

    seal: Seal
    made: Initialised
    stored: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stored = dict(self.made.writes)

    @property
    def records(self) -> BarrierRecords:
        return BarrierRecords.load(self.stored)

    @property
    def unsealed(self) -> Unsealed:
        return self.made.unsealed

    @property
    def authority(self) -> Authority:
        return Authority(self.records, self.seal, self.unsealed.root_key)

    @property
    def keys(self) -> list[str]:
        issued = self.made.shares or self.made.recovery
        assert issued is not None
        return [key.hex() for key in issued.keys]

    async def opened_by(self, keys: list[str]) -> Unsealed | None:
        """Unseal afresh from the stored records with these shares, in order."""
        progress, unsealed = None, None
        for key in keys:
            progress, unsealed = await submit(progress, key, self.records, self.seal, random=os.urandom)
        return unsealed


async def make(
    shares: ShareRequest | None, recovery: ShareRequest | None = None, seal: Seal | None = None
) -> Node:
    seal = seal or (ShamirSeal() if shares else LocalSeal())
    name = "shamir" if shares else "local"
    return Node(seal, await initialise(name, seal, shares, recovery, now=NOW, random=os.urandom))


@pytest.fixture
async def node() -> Node:
    """Two of three shares."""
    return await make(ShareRequest.of(3, 2))


@pytest.fixture
async def company() -> Node:
    """Two of: security 3 of 5, operations 2 of 3, board 1 of 1."""
    return await make(COMPANY)


@pytest.fixture
async def auto() -> Node:
    """An auto seal with two of two recovery shares."""
    return await make(None, ShareRequest.of(2, 2))


@pytest.fixture
def make_node():
    """``await make_node(shares, recovery)`` for other shapes."""
    return make


@pytest.fixture
def company_request() -> ShareRequest:
    return COMPANY


def new_pgp_pair(*, encrypts: bool):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pgpy
        from pgpy.constants import HashAlgorithm, KeyFlags, PubKeyAlgorithm, SymmetricKeyAlgorithm

        key = pgpy.PGPKey.new(PubKeyAlgorithm.RSAEncryptOrSign, 2048)
        usage = {KeyFlags.Sign} | ({KeyFlags.EncryptCommunications} if encrypts else set())
        uid = pgpy.PGPUID.new("custodian")
        key.add_uid(uid, usage=usage, hashes=[HashAlgorithm.SHA256], ciphers=[SymmetricKeyAlgorithm.AES256])
    return key


@pytest.fixture(scope="session")
def pgp_pair():
    """One custodian's OpenPGP key pair."""
    return new_pgp_pair(encrypts=True)


@pytest.fixture(scope="session")
def signing_pgp_key() -> str:
    """A public key that cannot receive anything."""
    return base64.b64encode(bytes(new_pgp_pair(encrypts=False).pubkey)).decode()


@pytest.fixture(scope="session")
def pgp_key(pgp_pair) -> str:
    """The public key as Vault's clients send it."""
    return base64.b64encode(bytes(pgp_pair.pubkey)).decode()


@pytest.fixture(scope="session")
def pgp_decrypt(pgp_pair):
    """``pgp_decrypt(base64 of a message)`` with the custodian's private key."""

    def decrypt(message: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pgpy

            text = pgp_pair.decrypt(pgpy.PGPMessage.from_blob(base64.b64decode(message))).message
        return text if isinstance(text, str) else bytes(text).decode()

    return decrypt
