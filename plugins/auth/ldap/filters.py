"""Search filters: from an operator's template to what goes over the wire.

A name that somebody logs in with is put into the template escaped, so that it stays a value whatever it holds; the
text is then parsed and sent as a tree, in which a value cannot become anything else.

Source: RFC 4515 (text), RFC 4511 section 4.5.1 (encoding).
"""

import re
from collections.abc import Mapping

from .ber import boolean, octets, tlv

MAX_DEPTH = 50
_TEMPLATE = re.compile(r"\{\{-?\s*\.([A-Za-z0-9]+)\s*-?\}\}", re.ASCII)
_TYPE = r"[A-Za-z0-9][A-Za-z0-9.\-]*(?:;[A-Za-z0-9\-]+)*"
_ITEM = re.compile(rf"({_TYPE})(=|>=|<=|~=)([^()]*)", re.ASCII | re.DOTALL)
_EXTENSIBLE = re.compile(rf"({_TYPE})?(:dn)?(?::({_TYPE}))?:=([^()]*)", re.ASCII | re.DOTALL)
_ORDERING = {">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_GROUPS = {"&": 0xA0, "|": 0xA1, "!": 0xA2}


class BadFilter(ValueError):
    """The filter cannot be read; the text says why and where."""


def escaped(value: str) -> str:
    r"""Return a value so that a filter holds it as nothing but a value.

    >>> escaped("*)(uid=*")
    '\\2a\\29\\28uid=\\2a'
    """
    return "".join(f"\\{ord(sign):02x}" if sign in "\\*()\0" else sign for sign in value)


def rendered(template: str, values: Mapping[str, str]) -> str:
    """Put values, escaped, into a template such as ``({{.UserAttr}}={{.Username}})``. Raises: BadFilter."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise BadFilter(f"unknown name .{found[1]}; there is {', '.join('.' + name for name in values)}")
        return escaped(values[found[1]])

    pieces = _TEMPLATE.split(template)
    if any("{{" in piece or "}}" in piece for piece in pieces[::2]):
        raise BadFilter("only names stand between {{ and }}, such as {{." + next(iter(values)) + "}}")
    return _TEMPLATE.sub(value, template)


def encoded(text: str) -> bytes:
    """Return a filter as the protocol carries it. Raises: BadFilter."""
    parsed, end = _parse(text.strip(), 0, 0)
    if end != len(text.strip()):
        raise BadFilter(f"something follows the filter at position {end}")
    return parsed


def _parse(text: str, at: int, depth: int) -> tuple[bytes, int]:
    if depth > MAX_DEPTH:
        raise BadFilter("nested too deeply")
    if text[at : at + 1] != "(":
        raise BadFilter(f"expected ( at position {at}")
    kind = _GROUPS.get(text[at + 1 : at + 2])
    if kind is None:
        end = text.find(")", at)
        if end < 0:
            raise BadFilter(f"the ( at position {at} is never closed")
        return _item(text[at + 1 : end], at), end + 1
    at += 2
    parts = []
    while text[at : at + 1] == "(":
        part, at = _parse(text, at, depth + 1)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise BadFilter(f"expected ) at position {at}")
    if kind == _GROUPS["!"] and len(parts) != 1:
        raise BadFilter("! takes one filter")
    return tlv(kind, *parts), at + 1


def _item(text: str, at: int) -> bytes:
    if found := _EXTENSIBLE.fullmatch(text):
        return _extensible(found, at)
    found = _ITEM.fullmatch(text)
    if found is None:
        raise BadFilter(f"expected attribute=value at position {at + 1}")
    name, sign, value = found[1], found[2], found[3]
    if sign != "=":
        return tlv(_ORDERING[sign], octets(name), octets(_value(value)))
    if value == "*":
        return octets(name, 0x87)
    if "*" not in value:
        return tlv(0xA3, octets(name), octets(_value(value)))
    first, *middle, last = value.split("*")
    tagged = [(0x80, first), *((0x81, part) for part in middle), (0x82, last)]
    pieces = [octets(_value(part), tag) for tag, part in tagged if part]
    return tlv(0xA4, octets(name), tlv(0x30, *pieces))


def _extensible(found: re.Match[str], at: int) -> bytes:
    name, in_dn, rule, value = found.groups()
    if not name and not rule:
        raise BadFilter(f"expected an attribute or a rule before := at position {at + 1}")
    parts = [octets(rule, 0x81)] if rule else []
    if name:
        parts.append(octets(name, 0x82))
    parts.append(octets(_value(value), 0x83))
    if in_dn:
        parts.append(boolean(True, 0x84))
    return tlv(0xA9, *parts)


def _value(text: str) -> bytes:
    """Undo the escapes of a value. Raises: BadFilter."""
    pieces = text.split("\\")
    raw = pieces[0].encode("utf-8", "surrogatepass")
    for piece in pieces[1:]:
        if not re.match(r"[0-9A-Fa-f]{2}", piece, re.ASCII):
            raise BadFilter("a backslash is followed by two hexadecimal digits")
        raw += bytes.fromhex(piece[:2]) + piece[2:].encode("utf-8", "surrogatepass")
    return raw
