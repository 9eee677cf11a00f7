"""Read a policy written as JSON into the same items as the HCL reader gives."""

import json
import math
from typing import Any, Final, NoReturn

from broker.plugin.errors import InvalidRequest

from .hcl1 import MAX_DEPTH, Item, Object

MAX_CONTAINERS: Final = 50_000


def read(text: str) -> Object:
    """Parse ``{"path": {"a/*": {"capabilities": ["read"]}}}``; lists of such objects are taken too.

    Raises: InvalidRequest for broken JSON, duplicate keys, NaN, or too much nesting.
    """
    if text.count("{") + text.count("[") > MAX_CONTAINERS:
        raise InvalidRequest(f"failed to parse policy: more than {MAX_CONTAINERS} objects and lists")
    try:
        document = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except RecursionError:
        raise InvalidRequest(f"failed to parse policy: nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"failed to parse policy: line {error.lineno}: {error.msg}") from None
    except ValueError:  # an integer with thousands of digits
        raise InvalidRequest("failed to parse policy: a number is too long") from None
    if not isinstance(document, dict):
        raise InvalidRequest('failed to parse policy: expected an object with the key "path"')
    return _Lines(text).top(document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f'failed to parse policy: the key "{twice[:80]}" occurs twice in one object')
    return found


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidRequest("failed to parse policy: a number is too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"failed to parse policy: {name} is not JSON")


class _Lines:
    """Turns decoded JSON into items; finds the line of each path by searching on from the one before."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def top(self, document: dict[str, Any]) -> Object:
        items = Object()
        for key, value in document.items():
            if key != "path":
                items.append(Item((key,), _plain(value, 1), self._find(key), is_block=False))
                continue
            for blocks in _objects(value, 'the value of "path"'):
                for path, bodies in blocks.items():
                    line = self._find(path)
                    items.extend(
                        Item(("path", path), self._body(body, line), line, is_block=True)
                        for body in _objects(bodies, f'path "{path[:80]}"')
                    )
        return items

    def _body(self, body: dict[str, Any], line: int) -> Object:
        return Object(Item((key,), _plain(value, 2), line, is_block=False) for key, value in body.items())

    def _find(self, key: str) -> int:
        at = self._text.find(json.dumps(key, ensure_ascii=False), self._position)
        if at >= 0:
            self._line += self._text.count("\n", self._position, at)
            self._position = at
        return self._line


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise InvalidRequest(f"failed to parse policy: expected an object as {what}")
    return found


def _plain(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"failed to parse policy: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return Object(Item((key,), _plain(each, depth + 1), 0, is_block=False) for key, each in value.items())
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    return value
