"""Policy text (HCL or JSON) -> ``Policy``. Runs when a policy is written, never when one is enforced."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from broker.plugin.errors import InvalidRequest, TooLarge

from . import hcl1, json_form
from .hcl1 import Item, Object
from .keys_filter import check_keys_filter
from .model import CAPABILITIES, DENY, SHORTHANDS, Parameters, Policy, Rule
from .template import check_template
from .times import parse_duration, parse_instant

MAX_BYTES: Final = 512 * 1024
MAX_RULES: Final = 10_000
MAX_PATH: Final = 4096
MAX_ATTRIBUTES: Final = 100

#: Attributes that add up when they occur more than once in a block; all others may occur once.
_REPEATABLE: Final = ("capabilities", "allowed_parameters", "denied_parameters", "required_parameters")


def parse_policy(name: str, text: str) -> Policy:
    """Parse the text of policy ``name``.

    >>> parse_policy("p", 'path "a/*" { capabilities = ["read"] }').rules[0].path
    'a/*'

    Raises: InvalidRequest naming the line and what was expected; nothing else, whatever the text.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TooLarge(f"failed to parse policy: larger than {MAX_BYTES} bytes")
    reader = json_form if text.lstrip()[:1] == "{" else hcl1
    items = reader.read(text)
    if len(items) > MAX_RULES:
        raise TooLarge(f"failed to parse policy: more than {MAX_RULES} rules")
    rules = tuple(_rule(item) for item in items if _is_path(item))
    templated = any("{{" in rule.path for rule in rules)
    policy = Policy(name=name, rules=rules, templated=templated)
    _check_storable(policy)
    return policy


def _check_storable(policy: Policy) -> None:
    """Refuse what would not come back from storage as it is, such as a lone surrogate."""
    try:
        same = msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
    except (ValueError, OverflowError, msgspec.MsgspecError):
        same = False
    if not same:
        raise InvalidRequest("failed to parse policy: a text is not Unicode, or a number is too large")


def _is_path(item: Item) -> bool:
    """Whether this top-level item is a rule; ``name = "..."`` is taken and ignored, the rest refused."""
    if item.keys[0] == "name" and not item.is_block and isinstance(item.value, str):
        return False
    if item.keys[0] != "path":
        raise InvalidRequest(
            f'failed to parse policy: invalid key "{item.keys[0][:80]}" on line {item.line}: expected path'
        )
    if len(item.keys) != 2 or not item.is_block:
        hcl1.fail(item.line, 'expected one quoted path and a block: path "secret/data/x" { ... }')
    return True


def _rule(item: Item) -> Rule:
    path = item.keys[1]
    try:
        _check_path(path)
        if len(item.value) > MAX_ATTRIBUTES:
            raise InvalidRequest(f"more than {MAX_ATTRIBUTES} attributes in one block")
        fields: dict[str, Any] = {}
        for attribute in item.value:
            _set(fields, attribute)
        return _finish(path, item.line, fields)
    except InvalidRequest as error:
        where = "" if " on line " in str(error) else f" (path on line {item.line})"
        raise InvalidRequest(f'failed to parse policy: path "{path[:80]}": {error}{where}') from None


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH:
        raise InvalidRequest(f"the path is longer than {MAX_PATH} characters")
    if any(character < " " or character == "\x7f" for character in path):
        raise InvalidRequest("the path contains a control character")
    if "+*" in path:
        raise InvalidRequest("invalid use of wildcards ('+*' is forbidden)")
    check_template(path)


def _set(fields: dict[str, Any], attribute: Item) -> None:
    key = attribute.keys[0]
    if key not in _DECODERS or len(attribute.keys) > 1:
        name = " ".join(attribute.keys)[:80]
        known = ", ".join(sorted(_DECODERS))
        raise InvalidRequest(f'invalid key "{name}" on line {attribute.line}: expected one of {known}')
    try:
        value = _DECODERS[key](attribute.value)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error} ({key} on line {attribute.line})") from None
    if key not in fields:
        fields[key] = value
    elif key not in _REPEATABLE:
        raise InvalidRequest(f"{key} is set twice, again on line {attribute.line}")
    elif isinstance(value, dict):
        _add_parameters(fields[key], value, key)
    else:
        fields[key] += value


def _add_parameters(into: Parameters, more: Parameters, key: str) -> None:
    for name, values in more.items():
        if name in into:
            raise InvalidRequest(f'{key} names "{name[:80]}" twice')
        into[name] = values


def _finish(path: str, line: int, fields: dict[str, Any]) -> Rule:
    capabilities = tuple(dict.fromkeys(fields.pop("policy", ()) + fields.pop("capabilities", ())))
    void: tuple[str, ...] = ()
    if DENY in capabilities:
        void = tuple(word for word in capabilities if word != DENY)
        capabilities = (DENY,)
    shortest, longest = fields.get("min_wrapping_ttl", 0), fields.get("max_wrapping_ttl", 0)
    if shortest and longest and longest < shortest:
        raise InvalidRequest("max_wrapping_ttl cannot be less than min_wrapping_ttl")
    keys_filter = fields.pop("list_scan_response_keys_filter_path", "")
    if keys_filter and "list" not in capabilities:
        raise InvalidRequest(
            "list_scan_response_keys_filter_path needs to be used on a path with the list capability"
        )
    expires_at = fields.pop("expiration", None)
    for unsupported in ("mfa_methods", "control_group"):
        fields.pop(unsupported, None)
    trimmed = path.removeprefix("/")
    return Rule(
        path=trimmed,
        written=path if path != trimmed else "",
        capabilities=capabilities,
        void=void,
        line=line,
        keys_filter=keys_filter,
        expires_at=expires_at,
        **fields,
    )


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidRequest('expected a list of strings such as ["read", "list"]')
    return tuple(value)


def _capabilities(value: Any) -> tuple[str, ...]:
    words = _strings(value)
    for word in words:
        if word not in CAPABILITIES:
            expected = ", ".join(CAPABILITIES)
            raise InvalidRequest(f'invalid capability "{word[:80]}": expected one of {expected}')
    return words


def _shorthand(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) or value not in SHORTHANDS:
        raise InvalidRequest(f'invalid policy "{str(value)[:80]}": expected one of {", ".join(SHORTHANDS)}')
    return SHORTHANDS[value]


def _parameters(value: Any) -> Parameters:
    if not isinstance(value, Object):
        raise InvalidRequest('expected a block such as { "name" = ["value"] }')
    found: Parameters = {}
    for item in value:
        if not isinstance(item.value, list) or isinstance(item.value, Object) or len(item.keys) != 1:
            raise InvalidRequest(f'expected a list of values for "{item.keys[0][:80]}"')
        _add_parameters(
            found, {item.keys[0].lower(): tuple(_plain(each) for each in item.value)}, "the block"
        )
    return found


def _plain(value: Any) -> Any:
    """Turn the reader's objects within a value into dicts."""
    if isinstance(value, Object):
        found: dict[str, Any] = {}
        for item in value:
            if item.keys[0] in found or len(item.keys) != 1:
                raise InvalidRequest(f'unexpected second "{item.keys[0][:80]}"')
            found[item.keys[0]] = _plain(item.value)
        return found
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _page_size(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if type(value) is not int or not -(2**31) < value < 2**31:
        raise InvalidRequest("expected a whole number")
    return max(value, 0)  # Clients of the field write -1 for "no limit".


def _keys_filter(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("expected a string")
    check_keys_filter(value)
    return value


def _comment(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise InvalidRequest("expected a string")
    return str(value)[:1024]


def _unsupported(value: Any) -> None:
    """Refuse a condition that would not be enforced: the rule would be weaker than it reads."""
    if value not in ("", [], Object()):
        raise InvalidRequest("this condition is not supported and the rule would allow more than it says")


_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "capabilities": _capabilities,
    "policy": _shorthand,
    "allowed_parameters": _parameters,
    "denied_parameters": _parameters,
    "required_parameters": _strings,
    "min_wrapping_ttl": parse_duration,
    "max_wrapping_ttl": parse_duration,
    "pagination_limit": _page_size,
    "list_scan_response_keys_filter_path": _keys_filter,
    "expiration": parse_instant,
    "comment": _comment,
    "mfa_methods": _unsupported,
    "control_group": _unsupported,
}
