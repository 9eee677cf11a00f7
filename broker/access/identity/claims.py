"""Templates of identity tokens: a JSON object with ``{{identity.entity.name}}`` and the like as values.

Every directive stands for a whole JSON value and is put in encoded, once: a name with a quote in it stays a name.
Source: Vault's "Identity tokens", "Token contents and templates".
"""

import binascii
import re
from base64 import b64decode
from typing import Any, Final

import msgspec

from broker.access.policy.template import Alias, Identity
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import parse_duration

RESERVED: Final = ("iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash")
"""Claims that are the server's to make."""

_DIRECTIVE = re.compile(r"\{\{([^{}]*)\}\}")
_TIME = re.compile(r"time\.now(?:\.(plus|minus)\.(.+))?")
_NOTHING: Any = object()
_object = msgspec.json.Decoder(dict[str, Any])


def plain_template(given: str) -> str:
    """Return a template that may have come as base64."""
    if "{" in given:
        return given
    try:
        return b64decode(given, validate=True).decode()
    except (binascii.Error, ValueError):
        return given


def check_template(template: str) -> None:
    """Raise InvalidRequest unless the template can be filled in for everyone and says nothing it may not."""
    claims = fill(template, Identity(), now=0)
    taken = next((name for name in RESERVED if name in claims), None)
    if taken is not None:
        raise InvalidRequest(f'top level key "{taken}" not allowed. Restricted keys: {", ".join(RESERVED)}')


def fill(template: str, person: Identity, *, now: float) -> dict[str, Any]:
    """Return the claims of a template for someone. Raises: InvalidRequest if it is no such template.

    >>> fill('{"who": {{identity.entity.name}} }', Identity(name='a "b"'), now=0)
    {'who': 'a "b"'}
    """
    if not template:
        return {}
    if "{{" in _DIRECTIVE.sub("", template):
        raise InvalidRequest("error parsing template: unbalanced templating characters")
    text = _DIRECTIVE.sub(lambda found: _encoded(found[1].strip(), person, now), template)
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise InvalidRequest("error parsing template JSON: expected an object") from None


def _encoded(name: str, person: Identity, now: float) -> str:
    value = _value(name, person, now)
    if value is _NOTHING:
        raise InvalidRequest(
            "error parsing template: no value could be found for one of the template directives"
        )
    return msgspec.json.encode(value).decode()


def _value(name: str, person: Identity, now: float) -> Any:
    if (time := _TIME.fullmatch(name)) is not None:
        shift = int(parse_duration(time[2]).total_seconds()) if time[1] else 0
        return int(now) + (shift if time[1] != "minus" else -shift)
    field, dot, rest = name.removeprefix("identity.entity.").partition(".")
    if not name.startswith("identity.entity."):
        return _NOTHING
    if field in ("id", "name") and not dot:
        return person.id if field == "id" else person.name
    if field == "metadata":
        return person.metadata.get(rest, "") if dot else dict(person.metadata)
    if field == "groups" and rest in ("ids", "names"):
        return [group.id if rest == "ids" else group.name for group in person.groups] or None
    return _of_alias(rest, person) if field == "aliases" else _NOTHING


def _of_alias(rest: str, person: Identity) -> Any:
    """Return what the alias at one mount says; a person without one, or with two, has nothing to say there."""
    accessor, _, rest = rest.partition(".")
    found = [alias for alias in person.aliases if alias.accessor == accessor]
    alias = found[0] if len(found) == 1 else Alias(accessor)
    field, dot, key = rest.partition(".")
    if field in ("id", "name") and not dot:
        return alias.id if field == "id" else alias.name
    if field in ("metadata", "custom_metadata"):
        held = alias.metadata if field == "metadata" else alias.custom_metadata
        return held.get(key, "") if dot else dict(held)
    return _NOTHING
