"""``sys/tools``: random bytes and hashes. Source: Vault's ``sys/tools`` API documentation."""

import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Annotated

from broker.core.system.parts import SystemBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field
from broker.plugin.paths import Operation, Path

MAX_BYTES = 131_072
SOURCES = ("platform", "seal", "all")
"""Where randomness may be asked from. All are the kernel's generator: a seal of ours offers none."""

ALGORITHMS = {
    "sha2-224": hashlib.sha224,
    "sha2-256": hashlib.sha256,
    "sha2-384": hashlib.sha384,
    "sha2-512": hashlib.sha512,
    "sha3-224": hashlib.sha3_224,
    "sha3-256": hashlib.sha3_256,
    "sha3-384": hashlib.sha3_384,
    "sha3-512": hashlib.sha3_512,
}

Format = Annotated[str, Field("How the answer is written: hex or base64.")]
Count = Annotated[int, Field("How many bytes.")]
Source = Annotated[str, Field("Where the bytes come from: platform, seal or all.")]
Input = Annotated[str, Field("What to hash, as base64.")]
Algorithm = Annotated[str, Field("One of " + ", ".join(ALGORITHMS) + ".")]


@dataclass(frozen=True, slots=True)
class Random:
    bytes: Count = 32
    urlbytes: Annotated[int | None, Field("How many bytes.")] = None
    format: Format = "base64"
    source: Source = "platform"


@dataclass(frozen=True, slots=True)
class Hash:
    input: Input = ""
    algorithm: Algorithm = "sha2-256"
    urlalgorithm: Algorithm = ""
    format: Format = "hex"


def _written(value: bytes, form: str) -> str:
    if form == "hex":
        return value.hex()
    if form == "base64":
        return b64encode(value).decode()
    raise InvalidRequest(f'unsupported encoding format "{form[:32]}"; must be "hex" or "base64"')


async def random(system: SystemBase, ctx: Context, args: Random) -> dict[str, str]:
    count = args.bytes if args.urlbytes is None else args.urlbytes
    if args.source not in SOURCES:
        raise InvalidRequest(
            f'unsupported entropy source "{args.source[:32]}"; must be "platform" or "seal", or "all"'
        )
    if count < 1:
        raise InvalidRequest("'bytes' cannot be less than 1")
    if count > MAX_BYTES:
        raise InvalidRequest(f"'bytes' should be less than {MAX_BYTES}")
    return {"random_bytes": _written(ctx.random(count), args.format)}


async def hash_input(system: SystemBase, ctx: Context, args: Hash) -> dict[str, str]:
    algorithm = args.urlalgorithm or args.algorithm
    try:
        value = b64decode(args.input, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("unable to decode input as base64") from None
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(f"unsupported algorithm {algorithm[:32]}")
    digest = await ctx.blocking(ALGORITHMS[algorithm], value)
    return {"sum": _written(digest.digest(), args.format)}


_RANDOM = Operation(Random, dict, calls=random)
_HASH = Operation(Hash, dict, calls=hash_input)

PATHS = (
    Path("tools/random", "Random bytes.", update=_RANDOM),
    Path("tools/random/{urlbytes}", "So many random bytes.", update=_RANDOM),
    Path("tools/random/{source}/{urlbytes}", "So many random bytes from one source.", update=_RANDOM),
    Path("tools/hash", "The hash of an input.", update=_HASH),
    Path("tools/hash/{urlalgorithm}", "The hash of an input by one algorithm.", update=_HASH),
)
