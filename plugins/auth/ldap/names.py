"""Distinguished names, and the one spelling of what somebody logs in with.

Source: RFC 4514 (distinguished names), RFC 4518 (what directories hold to be the same text).
"""

import re
import unicodedata

_SPECIAL = frozenset('"+,;<>\\=#')
_PAIR = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.))", re.ASCII | re.DOTALL)
_HEX = re.compile(r"(?:\\[0-9A-Fa-f]{2})+", re.ASCII)
_ATTRIBUTE = re.compile(r"\s*([A-Za-z][A-Za-z0-9\-]*|[0-9]+(?:\.[0-9]+)*)\s*=\s*", re.ASCII)


def escaped(value: str) -> str:
    r"""Return a value so that a distinguished name holds it as nothing but a value.

    >>> escaped("bob,ou=admins")
    'bob\\,ou\\=admins'
    """
    last = len(value) - 1
    return "".join(_escaped(sign, edge=at in (0, last)) for at, sign in enumerate(value))


def _escaped(sign: str, *, edge: bool) -> str:
    if sign in _SPECIAL or (sign == " " and edge):
        return "\\" + sign
    if sign < " " or sign == "\x7f":
        return f"\\{ord(sign):02x}"
    return sign


def parsed(name: str) -> list[tuple[str, str]]:
    """Return the attributes of a distinguished name, first the nearest: ``[("cn", "admins"), ...]``.

    The parts of a name with several (``cn=a+uid=b``) stand one after the other. Raises: ValueError.
    """
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(name):
        attribute = _ATTRIBUTE.match(name, at)
        if attribute is None:
            raise ValueError("not a distinguished name")
        value, at = _value(name, attribute.end())
        found.append((attribute[1], value))
    return found


def _value(name: str, at: int) -> tuple[str, int]:
    """Return an unescaped value and where the next attribute begins."""
    start = at
    while at < len(name) and name[at] not in ",+;":
        at += 2 if name[at] == "\\" else 1
    if at > len(name):
        raise ValueError("not a distinguished name")
    raw = _HEX.sub(
        lambda run: bytes.fromhex(run[0].replace("\\", "")).decode(errors="replace"), name[start:at]
    )
    return _PAIR.sub(lambda pair: pair[2] or "", raw), at + 1


def group_name(text: str, *, exact_case: bool) -> str:
    """Return the common name in a group's distinguished name; what is none is a group's name already.

    With ``exact_case`` only an attribute spelt ``CN`` counts.
    """
    try:
        parts = parsed(text)
    except ValueError:
        return text
    for attribute, value in parts:
        if attribute == "CN" or (not exact_case and attribute.lower() == "cn"):
            return value
    return text


def canonical(name: str, *, keep_case: bool = False) -> str:
    """Return the one spelling of a login name: names that a directory holds to be the same come out the same.

    >>> canonical("  Bob \u00a0 SMITH ")
    'bob smith'

    The directory is asked for it, and entities and local users are found by it: no spelling makes a second person.
    """
    text = unicodedata.normalize("NFKC", name)
    kept = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf"))
    plain = " ".join(kept.split())
    return plain if keep_case else unicodedata.normalize("NFKC", plain.lower())


def folded(name: str) -> str:
    """Return what failures are counted under: no difference in spelling escapes it."""
    return unicodedata.normalize("NFKC", canonical(name).casefold())
