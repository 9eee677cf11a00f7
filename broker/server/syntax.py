"""Configuration text, HCL or JSON, as a tree in which everything knows its line.

The field's configuration files are HCL 1: blocks, assignments, comments, heredocs, no expressions. That is small
enough to read here, keeps line numbers for the error messages, and does not make every start wait for a general
grammar to be built.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["ConfigSyntaxError", "Entry", "Node", "Object", "read_hcl", "read_json"]

Scalar = str | int | float | bool | None
_DEPTH_LIMIT: Final = 32


class ConfigSyntaxError(Exception):
    """The text cannot be read; carries the line and what was expected."""

    def __init__(self, line: int, expected: str) -> None:
        super().__init__(f"line {line}: {expected}")
        self.line = line
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line it starts on. A list holds nodes."""

    value: "Scalar | Object | tuple[Node, ...]"
    line: int

    def describe(self) -> str:
        """What this is, for an error message: its kind, never its content (it may be a credential)."""
        if isinstance(self.value, Object):
            return "a block"
        if isinstance(self.value, tuple):
            return "a list"
        kinds = {str: "a string", bool: "true or false", int: "a number", float: "a number"}
        return kinds.get(type(self.value), "null")

    def plain(self) -> object:
        """The value without lines: str, int, float, bool, None, list, dict."""
        if isinstance(self.value, Object):
            return {entry.key: entry.node.plain() for entry in self.value.entries}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Entry:
    """``key = value`` or one level of a block."""

    key: str
    line: int
    node: Node


@dataclass(frozen=True, slots=True)
class Object:
    """A block's content in order; a key may occur again. ``a "b" { }`` is an entry a holding an entry b."""

    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int

    def show(self) -> str:
        names = {"end": "the end of the file", "string": "a string", "heredoc": "a string"}
        return names.get(self.kind) or f"'{self.text[:20]}'"


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<heredoc><<-?(?P<tag>[A-Za-z_]\w*)\r?\n(?P<body>.*?)^[ \t]*(?P=tag)$)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>-?(?:0x[0-9A-Fa-f]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.]))
      | (?P<name>[A-Za-z_][\w.-]*)
      | (?P<mark>[{}\[\]=:,])""",
    re.VERBOSE | re.DOTALL | re.MULTILINE | re.ASCII,
)


def read_hcl(text: str) -> Object:
    """Read HCL. Raises: ConfigSyntaxError."""
    reader = _Reader(text)
    content = reader.entries(until="end", depth=0)
    return Object(content)


def read_json(text: str) -> Object:
    """Read JSON, strictly. Raises: ConfigSyntaxError."""
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(error.lineno, f"expected valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigSyntaxError(1, f"expected at most {_DEPTH_LIMIT} levels") from error
    if not isinstance(parsed, dict):
        raise ConfigSyntaxError(1, "expected an object in braces")
    node = _Reader(text).value(depth=0)  # the same text again, for the lines
    assert isinstance(node.value, Object)
    return node.value


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            hint = "a closing quote on the same line" if text[at] == '"' else "a key, a value or a bracket"
            raise ConfigSyntaxError(line, f"expected {hint}")
        kind = "heredoc" if found["tag"] else str(found.lastgroup)
        if kind != "space":
            yield _Token(kind, found["body"] if kind == "heredoc" else found[0], line)
        line += found[0].count("\n")
        at = found.end()
    yield _Token("end", "", line)


class _Reader:
    """Recursive descent over the tokens; ``=`` and ``:`` are one, commas between entries are optional."""

    def __init__(self, text: str) -> None:
        self._source = _tokens(text)
        self._next = next(self._source)

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._source)
        return token

    def _at(self, *marks: str) -> bool:
        return self._next.kind == "mark" and self._next.text in marks

    def _fail(self, expected: str) -> ConfigSyntaxError:
        return ConfigSyntaxError(self._next.line, f"expected {expected}, found {self._next.show()}")

    def entries(self, *, until: str, depth: int) -> list[Entry]:
        """Read entries up to a closing brace or the end of the file."""
        if depth > _DEPTH_LIMIT:
            raise self._fail(f"at most {_DEPTH_LIMIT} levels")
        found: list[Entry] = []
        while not (self._at("}") if until == "}" else self._next.kind == "end"):
            if self._next.kind not in ("name", "string"):
                raise self._fail("a key" if until == "end" else "a key or '}'")
            found.append(self._entry(depth))
            if self._at(","):
                self._take()
        self._take()
        return found

    def _entry(self, depth: int) -> Entry:
        token = self._take()
        key = _unquote(token) if token.kind == "string" else token.text
        if self._at("=", ":"):
            self._take()
            return Entry(key, token.line, self.value(depth))
        if self._at("{"):
            return Entry(key, token.line, self.value(depth))
        if self._next.kind == "string":  # a label
            label = self._entry(depth)
            return Entry(key, token.line, Node(Object([label]), label.line))
        raise self._fail(f"'=' or '{{' after {key!r}")

    def value(self, depth: int) -> Node:
        """Read one value."""
        token = self._take()
        if token.kind == "mark" and token.text == "{":
            return Node(Object(self.entries(until="}", depth=depth + 1)), token.line)
        if token.kind == "mark" and token.text == "[":
            return Node(tuple(self._items(depth + 1)), token.line)
        if token.kind == "number":
            return Node(_number(token.text), token.line)
        if token.kind in ("string", "heredoc"):
            return Node(_unquote(token) if token.kind == "string" else token.text, token.line)
        if token.kind == "name" and token.text in _WORDS:
            return Node(_WORDS[token.text], token.line)
        expected = f"a value, found {token.show()}"
        raise ConfigSyntaxError(token.line, f"expected {expected} (strings are quoted)")

    def _items(self, depth: int) -> Iterator[Node]:
        if depth > _DEPTH_LIMIT:
            raise self._fail(f"at most {_DEPTH_LIMIT} levels")
        while not self._at("]"):
            yield self.value(depth)
            if self._at(","):
                self._take()
            elif not self._at("]"):
                raise self._fail("',' or ']'")
        self._take()


_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


def _number(text: str) -> int | float:
    if "0x" in text:
        return int(text, 16)
    return float(text) if any(mark in text for mark in ".eE") else int(text)


def _unquote(token: _Token) -> str:
    try:
        return str(json.loads(token.text))
    except ValueError as error:
        raise ConfigSyntaxError(token.line, "expected a known escape after the backslash") from error
