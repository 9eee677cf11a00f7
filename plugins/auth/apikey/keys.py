"""What a key looks like, and how one is recognised without being stored.

``bk_<id>_<secret>``: ``id`` is 16 of ``a-z0-9`` and no secret, it finds the record; ``secret`` is 43 base62
characters, 256 bits. Stored is only HMAC-SHA-256 of the whole key under the mount's salt. A slow password hash would
add nothing: there are 2^256 keys to try, and a login must stay cheap.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

PREFIX = "bk"
ID_LENGTH = 16
SECRET_LENGTH = 43
SHOWN = 4
_ID = "0123456789abcdefghijklmnopqrstuvwxyz"
_SECRET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # noqa: S105 - the alphabet
_SHAPE = re.compile(rf"{PREFIX}_([0-9a-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}}", re.ASCII)

Random = Callable[[int], bytes]
"""So many bytes from the kernel's generator."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only time that its text exists here."""

    text: str
    last_four: str
    hash: bytes

    def __repr__(self) -> str:
        return f"NewKey(...{self.last_four})"


def new_id(random: Random) -> str:
    """Return the id of a new key."""
    return _draw(_ID, ID_LENGTH, random)


def new_key(id: str, salt: bytes, random: Random) -> NewKey:  # noqa: A002 - the field's word
    """Return a new key with this id."""
    text = f"{PREFIX}_{id}_{_draw(_SECRET, SECRET_LENGTH, random)}"
    return NewKey(text, text[-SHOWN:], hash_of(text, salt))


def id_in(text: str) -> str:
    """Return the id that a presented key names, or an empty text if it is none of our keys."""
    found = _SHAPE.fullmatch(text)
    return "" if found is None else found[1]


def hash_of(text: str, salt: bytes) -> bytes:
    """Return the keyed hash of a key, 32 bytes. Source: HMAC, RFC 2104, with SHA-256."""
    return hmac.digest(salt, text.encode("utf-8", "surrogatepass"), "sha256")


def shown_prefix(id: str) -> str:  # noqa: A002 - the field's word
    """Return what a key with this id begins with: enough to find it in a client's configuration."""
    return f"{PREFIX}_{id}_"


def _draw(alphabet: str, length: int, random: Random) -> str:
    """Return random characters, each equally likely: bytes beyond the last whole multiple are thrown away."""
    limit = 256 - 256 % len(alphabet)
    drawn = ""
    while len(drawn) < length:
        drawn += "".join(alphabet[byte % len(alphabet)] for byte in random(length) if byte < limit)
    return drawn[:length]
