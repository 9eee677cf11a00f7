"""Read the HCL dialect that policies are written in (HCL 1), without surprises.

Policies in the field use what the HCL 2 grammar refuses: ``allowed_parameters { "x" = [] }``, quoted attribute
names, several attributes on one line. This reader takes that dialect and no more: no expressions, no
interpolation (``${x}`` is literal text). Depth, tokens and time are bounded, and errors name the line.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

from broker.plugin.errors import InvalidRequest

MAX_DEPTH: Final = 16
MAX_TOKENS: Final = 60_000
MAX_LIST: Final = 1_000
MAX_KEYS: Final = 4

_TOKEN = re.compile(
    r"""
    [ \t\r]*(?:
      (?P<space>(?:\s | \#[^\n]* | //[^\n]*)+)
    | (?P<comment>/\*.*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<heredoc><<-?[A-Za-z_]\w*\r?\n)
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?)(?![\w.]))
    | (?P<word>[A-Za-z_][\w.-]*)
    | (?P<mark>[{}\[\]=,])
    )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(
    r'\\(?:(["\\nrtabfv])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))', re.DOTALL
)
_SIMPLE: Final = {
    '"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v",
}  # fmt: skip
_END: Final = "end of text"


class Token(NamedTuple):
    """``kind`` is ``string``, ``heredoc``, ``number``, ``word``, ``end`` or the punctuation mark itself."""

    kind: str
    value: Any
    line: int


class Item(NamedTuple):
    """``keys value`` or ``keys = value``; an object's value is a list of items."""

    keys: tuple[str, ...]
    value: Any
    line: int
    is_block: bool


class Object(list[Item]):
    """The items between two braces, in order, repeated keys included."""


def read(text: str) -> Object:
    """Parse a whole document.

    >>> read('path "a/*" { capabilities = ["read"] }')[0].keys
    ('path', 'a/*')

    Raises: InvalidRequest naming the line and what was expected there.
    """
    return _Reader(text).document()


def fail(line: int, message: str) -> NoReturn:
    """Refuse the text, naming the line."""
    raise InvalidRequest(f"failed to parse policy: line {line}: {message}")


def _tokens(text: str) -> Iterator[Token]:
    position, line, count = 0, 1, 0
    text = text.rstrip(" \t\r")
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse_character(text, position, line)
        position, kind = match.end(), match.lastgroup or ""
        found = match.group(kind)
        if kind in ("space", "comment"):
            line += found.count("\n")
            continue
        count += 1
        if count > MAX_TOKENS:
            fail(line, f"the policy is too long: at most {MAX_TOKENS} words, values and marks")
        if kind == "heredoc":
            value, end = _heredoc(text, position, found, line)
            yield Token("heredoc", value, line)
            line += text.count("\n", match.start(), end)
            position = end
        else:
            yield _token(kind, found, line)
    yield Token("end", _END, line)


def _token(kind: str, found: str, line: int) -> Token:
    if kind == "string":
        return Token("string", _unescape(found[1:-1], line), line)
    if kind == "number":
        return Token("number", _number(found), line)
    return Token(found if kind == "mark" else "word", found, line)


def _refuse_character(text: str, position: int, line: int) -> NoReturn:
    position += len(text[position:]) - len(text[position:].lstrip(" \t\r"))
    character = text[position]
    if character == '"':
        fail(line, "this string is not closed on its line")
    if text.startswith("/*", position):
        fail(line, "this comment is not closed")
    fail(line, f"unexpected character {character!a}")


def _number(found: str) -> int | float:
    if "x" in found.lower():
        return int(found, 16)
    return float(found) if any(mark in found for mark in ".eE") else int(found)


def _unescape(body: str, line: int) -> str:
    if "\\" not in body:
        return body

    def one(match: re.Match[str]) -> str:
        simple, x, u4, u8, other = match.groups()
        if simple:
            return _SIMPLE[simple]
        code = int(x or u4 or u8 or "-1", 16)
        if other or not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
            fail(line, 'unknown escape in string: expected one of \\" \\\\ \\n \\r \\t \\xNN \\uNNNN')
        return chr(code)

    return _ESCAPE.sub(one, body)


def _heredoc(text: str, start: int, opening: str, line: int) -> tuple[str, int]:
    """Return the text of a ``<<WORD`` block, its last newline included, and where the text goes on."""
    word = opening.strip().lstrip("<").lstrip("-")
    close = re.compile(rf"^[ \t]*{word}(?=\r?$)", re.MULTILINE | re.ASCII).search(text, start)
    if close is None:
        fail(line, f"expected a line {word} that closes this text")
    lines = text[start : close.start()].splitlines(keepends=True)
    if opening.startswith("<<-"):
        indent = min((len(each) - len(each.lstrip(" \t")) for each in lines if each.strip()), default=0)
        lines = [each[indent:] if each.strip() else each.lstrip(" \t") for each in lines]
    return "".join(lines), close.end()


class _Reader:
    """A recursive descent over the tokens; the recursion is bounded by ``MAX_DEPTH``."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)

    def document(self) -> Object:
        return self._items("end", depth=0)

    def _take(self) -> Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        return token

    def _items(self, closing: str, depth: int) -> Object:
        items = Object()
        while self._next.kind != closing:
            items.append(self._item(depth))
            if self._next.kind == ",":
                self._take()
        self._take()
        return items

    def _item(self, depth: int) -> Item:
        keys: list[str] = []
        line = self._next.line
        while self._next.kind in ("word", "string"):
            keys.append(self._take().value)
            if len(keys) > MAX_KEYS:
                fail(line, "expected { or = after a name, found more names")
        if not keys:
            fail(line, f"expected a name, found {self._shown()}")
        if self._next.kind == "{":
            return Item(tuple(keys), self._value(depth), line, is_block=True)
        if self._next.kind != "=" or len(keys) > 1:
            fail(self._next.line, f'expected {{ after "{keys[-1]}", found {self._shown()}')
        self._take()
        return Item(tuple(keys), self._value(depth), line, is_block=False)

    def _value(self, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            fail(self._next.line, f"nested deeper than {MAX_DEPTH} levels")
        token = self._take()
        if token.kind in ("string", "heredoc", "number"):
            return token.value
        if token.kind == "word" and token.value in ("true", "false"):
            return token.value == "true"
        if token.kind == "{":
            return self._items("}", depth + 1)
        if token.kind == "[":
            return self._list(depth + 1)
        fail(token.line, f"expected a value, found {_show(token)}")

    def _list(self, depth: int) -> list[Any]:
        values: list[Any] = []
        while self._next.kind != "]":
            values.append(self._value(depth))
            if len(values) > MAX_LIST:
                fail(self._next.line, f"more than {MAX_LIST} values in one list")
            if self._next.kind == ",":
                self._take()
            elif self._next.kind != "]":
                fail(self._next.line, f"expected a comma or ] in this list, found {self._shown()}")
        self._take()
        return values

    def _shown(self) -> str:
        return _show(self._next)


def _show(token: Token) -> str:
    if token.kind in ("string", "word"):
        return f'"{token.value[:40]}"'
    return str(token.value)
