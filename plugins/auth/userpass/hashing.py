"""Passwords at rest: Argon2id, with the parameters in each hash; bcrypt hashes of other servers are taken over.

A *kind* is a hash's algorithm and cost as text (``argon2id 65536 2 1``, ``bcrypt 10``): two hashes of one kind take the
same work to check. ``dummy`` makes a hash of a given kind that no password fits.

Source: RFC 9106 through libsodium (PyNaCl), in the PHC string format; bcrypt in the form ``$2b$``.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import nacl.exceptions
from nacl.pwhash import argon2id

from broker.plugin import InvalidRequest, Secret, Unavailable

MAX_PASSWORD: Final = 4096
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(1)\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,64}", re.ASCII
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
MEMORY_KIB: Final = (8, 262_144)
PASSES: Final = (1, 16)
BCRYPT_COSTS: Final = (4, 14)
BCRYPT_BYTES: Final = 72
"""bcrypt looks at no more of a password."""

AT_ONCE: Final = 2
"""Passwords that one worker hashes at a time: each takes a core and the kind's memory."""
MAX_WAITING: Final = 256
"""Logins that wait for their turn; beyond that they are turned away, so that a flood ends somewhere."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a new hash costs: memory in KiB, and passes over it."""

    memory_kib: int = 65_536
    passes: int = 2

    @property
    def kind(self) -> str:
        return f"argon2id {self.memory_kib} {self.passes} 1"


def hashed(password: Secret[str], cost: Cost) -> str:
    """Return a password's hash. Takes a tenth of a second and ``memory_kib``: run it in a thread."""
    made = argon2id.str(_bytes(password), opslimit=cost.passes, memlimit=cost.memory_kib * 1024)
    return made.rstrip(b"\0").decode("ascii")


def fits(stored: str, password: Secret[str]) -> bool:
    """Tell whether a password has this hash. As much work as ``hashed``: run it in a thread."""
    if stored.startswith("$argon2id$"):
        try:
            return bool(argon2id.verify(stored.encode("ascii"), _bytes(password)))
        except nacl.exceptions.InvalidkeyError:
            return False
    import bcrypt

    return bcrypt.checkpw(_bytes(password)[:BCRYPT_BYTES], stored.encode("ascii"))


def kind_of(stored: str) -> str:
    """Return a hash's kind. Raises: InvalidRequest if it is none that can be checked, or one that costs too much."""
    found = _ARGON2.fullmatch(stored)
    if found is not None:
        memory, passes = int(found[1]), int(found[2])
        if _between(memory, MEMORY_KIB) and _between(passes, PASSES):
            return f"argon2id {memory} {passes} {found[3]}"
    found = _BCRYPT.fullmatch(stored)
    if found is not None and _between(int(found[1]), BCRYPT_COSTS):
        return f"bcrypt {int(found[1])}"
    raise InvalidRequest(
        "password_hash is not a valid bcrypt hash, nor an argon2id one: expected $2b$ with a cost of "
        f"{BCRYPT_COSTS[0]} to {BCRYPT_COSTS[1]}, or $argon2id$v=19$ with m up to {MEMORY_KIB[1]}, "
        f"t up to {PASSES[1]} and p=1"
    )


def dummy(kind: str) -> str:
    """Return a hash of a kind that no password is known for.

    >>> kind_of(dummy("argon2id 65536 2 1"))
    'argon2id 65536 2 1'
    """
    name, *numbers = kind.split()
    if name == "bcrypt":
        return f"$2b${int(numbers[0]):02d}$" + "." * 53
    memory, passes, lanes = numbers
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${'A' * 22}${'A' * 43}"


class Turns:
    """Lets a few hash at a time and some wait. One for all mounts of a worker: its memory is what is bounded."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many logins at once; try again")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *error: object) -> None:
        self._places.release()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Return the worker's turns."""
    loop = asyncio.get_running_loop()
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns()
    return found


def _bytes(password: Secret[str]) -> bytes:
    return password.reveal().encode("utf-8", "surrogatepass")


def _between(value: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]
