"""Shares of a key: SLIP-39, told as words, hex or base64.

Shape of a share of a 32-byte key: 33 words of 10 bits (identifier, group and member numbers, thresholds, value,
checksum). Hex and base64 carry the same 330 bits, most significant first, padded with zero bits to 42 bytes; so
clients that know nothing of words can submit shares too.

Accepted risk: ``shamir-mnemonic`` is SLIP-39's reference implementation. Its arithmetic is not constant-time, so
shares are split and combined only inside the server, and every result is verified by opening what it wraps.
Source: https://github.com/satoshilabs/slips/blob/master/slip-0039.md
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from shamir_mnemonic import EncryptedMasterSecret, MnemonicError, recover_ems, split_ems
from shamir_mnemonic import Share as Slip39Share
from shamir_mnemonic.constants import MIN_MNEMONIC_LENGTH_WORDS
from shamir_mnemonic.rs1024 import verify_checksum
from shamir_mnemonic.shamir import ShareGroup
from shamir_mnemonic.wordlist import WORD_INDEX_MAP, WORDLIST

from broker.barrier.keyring import Random
from broker.plugin.errors import InvalidRequest

MAX_GROUPS: Final = 16
MAX_SHARES: Final = 16
_ITERATION_EXPONENT: Final = 0
_WORD_BITS: Final = 10
_MAX_WORDS: Final = 64
_NO_PASSPHRASE: Final = b""

Check = Literal["malformed", "checksum", "other ceremony", "duplicate"]
_TEXTS: Final[dict[Check, str]] = {
    "malformed": "'key' must be a share: 33 words, or the same share in hex or base64",
    "checksum": "the share's checksum is wrong: it was mistyped or damaged",
    "other ceremony": "the share is from another ceremony: it is not one of the shares expected here",
    "duplicate": "given key has already been provided during this operation",
}


class ShareRejected(InvalidRequest):
    """A share failed one check, named by ``check``; nothing of the share is told, and progress is as before."""

    def __init__(self, check: Check) -> None:
        super().__init__(_TEXTS[check])
        self.check = check


class Group(msgspec.Struct, frozen=True):
    """One group of custodians: ``threshold`` of its ``count`` shares stand for the group."""

    threshold: int
    count: int
    name: str = ""


class Share:
    """One share. Its ``repr`` shows the numbers on it, never its value."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Slip39Share) -> None:
        self._raw = raw

    def __repr__(self) -> str:
        return f"<share {self.member_index + 1} of group {self.group_index + 1}>"

    @property
    def identifier(self) -> int:
        """The number (0..32767) that all shares of one split carry."""
        return int(self._raw.identifier)

    @property
    def group_index(self) -> int:
        """Which group, from 0."""
        return int(self._raw.group_index)

    @property
    def group_threshold(self) -> int:
        """How many groups are needed."""
        return int(self._raw.group_threshold)

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return int(self._raw.group_count)

    @property
    def member_index(self) -> int:
        """Which share of its group, from 0."""
        return int(self._raw.index)

    @property
    def threshold(self) -> int:
        """How many shares of its group are needed."""
        return int(self._raw.member_threshold)

    @property
    def words(self) -> str:
        """The share as words."""
        return " ".join(self._raw.words())

    @property
    def packed(self) -> bytes:
        """The share as bytes: what ``hex`` and ``base64`` spell."""
        indices = [WORD_INDEX_MAP[word] for word in self._raw.words()]
        value = 0
        for index in indices:
            value = value << _WORD_BITS | index
        padding = -len(indices) * _WORD_BITS % 8
        return (value << padding).to_bytes((len(indices) * _WORD_BITS + padding) // 8, "big")

    @property
    def hex(self) -> str:
        """The share in hex, as Vault's ``keys``."""
        return self.packed.hex()

    @property
    def base64(self) -> str:
        """The share in base64, as Vault's ``keys_base64``."""
        return base64.b64encode(self.packed).decode()

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that tell this share from any other and, its value being random, nothing else about it."""
        return fingerprint(self.packed)

    def slip39(self) -> Slip39Share:
        """Return the library's own object, value included."""
        return self._raw

    @classmethod
    def unpack(cls, packed: bytes) -> "Share":
        """Undo ``packed``. Raises: ShareRejected."""
        return cls(_checked(_unpack(packed)))

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read a share from words (any spacing and case), hex or base64.

        Raises: ShareRejected, ``malformed`` or ``checksum``.
        """
        rejected = ShareRejected("malformed")
        for indices in _candidates(text):
            try:
                return cls(_checked(indices))
            except ShareRejected as error:
                rejected = error
        raise rejected


def fingerprint(packed: bytes) -> bytes:
    """Return ``Share.fingerprint`` of a packed share, without reading it."""
    return hashlib.sha256(b"broker share\0" + packed).digest()[:16]


def _candidates(text: str) -> list[list[int]]:
    """Return every way to read ``text`` as word numbers: words, else hex before base64 as Vault does."""
    words = text.lower().split()
    if len(words) > 1:
        numbers = [WORD_INDEX_MAP.get(word, -1) for word in words[: _MAX_WORDS + 1]]
        return [] if -1 in numbers or len(numbers) > _MAX_WORDS else [numbers]
    found = []
    for decode in (binascii.unhexlify, _from_base64):
        try:
            found.append(_unpack(decode(text.strip())))
        except ValueError:
            continue
    return [indices for indices in found if indices]


def _from_base64(text: str) -> bytes:
    """Decode strictly: one spelling per share. Raises: ValueError."""
    packed = base64.b64decode(text, validate=True)
    if base64.b64encode(packed) != text.encode():
        raise ValueError("not canonical base64")
    return packed


def _unpack(packed: bytes) -> list[int]:
    """Undo ``Share.packed``; empty if the padding is not zero."""
    count, padding = divmod(len(packed) * 8, _WORD_BITS)
    value = int.from_bytes(packed, "big")
    if count > _MAX_WORDS or padding >= 8 or value & ((1 << padding) - 1):
        return []
    value >>= padding
    return [value >> _WORD_BITS * place & 1023 for place in reversed(range(count))]


def _checked(indices: list[int]) -> Slip39Share:
    """Check a share on its own. The library's messages quote words of it, so ours replace them."""
    if len(indices) < MIN_MNEMONIC_LENGTH_WORDS:
        raise ShareRejected("malformed")
    extendable = bool(indices[1] >> 4 & 1)
    if not verify_checksum(indices, b"shamir_extendable" if extendable else b"shamir"):
        raise ShareRejected("checksum")
    try:
        return Slip39Share.from_mnemonic(" ".join(WORDLIST[i] for i in indices))
    except MnemonicError:
        raise ShareRejected("malformed") from None


def check_groups(groups: Sequence[Group], group_threshold: int) -> None:
    """Refuse what cannot be split. Raises: InvalidRequest, in Vault's words where it has the same limit."""
    if not groups:
        raise InvalidRequest("at least one group of shares is needed")
    if len(groups) > MAX_GROUPS:
        raise InvalidRequest(f"there can be at most {MAX_GROUPS} groups of shares")
    if not 1 <= group_threshold <= len(groups):
        raise InvalidRequest(
            "group_threshold must be at least one and cannot be larger than the number of groups"
        )
    for group in groups:
        _check_group(group)


def _check_group(group: Group) -> None:
    where = f" (group {group.name!r})" if group.name else ""
    if group.count < 1:
        raise InvalidRequest("shares must be at least one" + where)
    if group.threshold < 1:
        raise InvalidRequest("threshold must be at least one" + where)
    if group.threshold > group.count:
        raise InvalidRequest("threshold cannot be larger than shares" + where)
    if group.count > 255:
        raise InvalidRequest("shares must be less than 256" + where)
    if group.count > MAX_SHARES:
        raise InvalidRequest(f"shares must be at most {MAX_SHARES}; use several groups for more" + where)
    if group.count > 1 and group.threshold == 1:
        raise InvalidRequest("threshold must be greater than one for multiple shares" + where)


def split(secret: bytes, groups: Sequence[Group], group_threshold: int, random: Random) -> list[list[Share]]:
    """Split a key of at least 16 bytes (an even number) into one list of shares per group.

    Any ``group_threshold`` groups, each with its own ``threshold`` of shares, restore it; fewer reveal nothing.
    ``random`` numbers the split; the polynomials come from the library's ``secrets``. Raises: InvalidRequest.
    """
    check_groups(groups, group_threshold)
    identifier = int.from_bytes(random(2), "big") >> 1
    ems = EncryptedMasterSecret.from_master_secret(
        secret, _NO_PASSPHRASE, identifier, True, _ITERATION_EXPONENT
    )
    split_groups = split_ems(group_threshold, [(g.threshold, g.count) for g in groups], ems)
    return [[Share(raw) for raw in group] for group in split_groups]


def combine(shares: Sequence[Share]) -> bytes:
    """Restore the key from exactly the shares needed.

    The caller verifies the result by opening what the key wraps. Raises: ShareRejected if they do not fit together.
    """
    return bytes(recover(shares).decrypt(_NO_PASSPHRASE))


def recover(shares: Sequence[Share]) -> EncryptedMasterSecret:
    """Restore what SLIP-39 calls the encrypted master secret. Raises: ShareRejected."""
    groups: dict[int, ShareGroup] = {}
    try:
        for share in shares:
            groups.setdefault(share.group_index, ShareGroup()).add(share.slip39())
        if len({share.slip39().common_parameters() for share in shares}) != 1:
            raise ShareRejected("other ceremony")
        return recover_ems(groups)
    except (MnemonicError, ValueError):
        raise ShareRejected("other ceremony") from None
