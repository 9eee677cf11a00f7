"""How identity compares names and checks what people attach to them."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from broker.plugin.errors import InvalidRequest

MAX_NAME = 512
MAX_ALIAS_NAME = 4096
MAX_PAIRS = 64
MAX_KEY = 128
MAX_VALUE = 512
_UPPER = re.compile("[A-Z]+")


def folded(name: str) -> str:
    """Return the form in which names are compared: ASCII letters in lower case, everything else as it is.

    Names differ without regard to case, as in Vault. Beyond ASCII nothing is folded, for there one letter would become
    another: the Kelvin sign is not a ``k`` here.

    >>> folded("Ann"), folded("\\u212a") == "k"
    ('ann', False)
    """
    return _UPPER.sub(lambda found: found[0].lower(), name)


def name_segment(name: str) -> str:
    """Return a name as one segment of a storage path, whatever characters it has.

    >>> name_segment("Ops/EU"), name_segment("..")
    ('=ops%2Feu', '=..')
    """
    return "=" + quote(folded(name), safe="", errors="surrogatepass")


@lru_cache(4096)
def alias_segment(name: str) -> str:
    """Return an alias's name as one storage segment of fixed length: a hash, as callers choose how long it is."""
    return hashlib.sha256(folded(name).encode("utf-8", "surrogatepass")).hexdigest()


def checked_metadata(given: Mapping[str, str] | None, what: str = "metadata") -> dict[str, str] | None:
    """Return metadata that is within Vault's limits, ``None`` if there is none. Raises: InvalidRequest."""
    if not given:
        return None
    if len(given) > MAX_PAIRS:
        raise InvalidRequest(f"{what} cannot contain more than {MAX_PAIRS} key/value pairs")
    for key, value in given.items():
        if not key or len(key) > MAX_KEY:
            raise InvalidRequest(f"{what}: expected keys of 1 to {MAX_KEY} characters")
        if len(value) > MAX_VALUE:
            raise InvalidRequest(f"{what}: expected values of at most {MAX_VALUE} characters")
    return dict(given)


__all__ = ["MAX_ALIAS_NAME", "MAX_NAME", "alias_segment", "checked_metadata", "folded", "name_segment"]
