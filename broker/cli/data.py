"""What commands are given to send: ``key=value``, ``key=@file``, ``key=-``, ``@file.json`` and ``-``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from broker.cli.flags import UsageError

Data = dict[str, Any]


def parse_data(words: Sequence[str]) -> Data:
    """Read the data arguments of a write.

    ``key=value`` is text; ``key=@file`` and ``key=-`` take a file's or stdin's text; ``@file`` and ``-`` stand for a
    whole JSON object. ``\\@`` begins a value with a real at sign. Giving a key twice makes a list.
    Raises: UsageError, naming the argument but never a value.
    """
    try:
        return _parse(words)
    except UsageError as error:
        raise UsageError(f"Failed to parse K=V data: {error}") from None


def read_input(source: str) -> str:
    """The text of a file, or of stdin for ``-``. Raises: UsageError if it cannot be read as UTF-8 text."""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"error reading file: open {source}: {(error.strerror or 'failed').lower()}"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"error reading file: {source} is not UTF-8 text") from None


def plain_path(text: str) -> str:
    """A path as it is sent: without slashes at its ends or twice in a row, as Vault's command line cleans it.

    >>> plain_path("/secret//app/")
    'secret/app'
    """
    return "/".join(segment for segment in text.split("/") if segment)


def _parse(words: Sequence[str]) -> Data:
    found: Data = {}
    stdin_taken = False
    for number, word in enumerate(words, 1):
        if word == "-" or word.endswith("=-"):
            if stdin_taken:
                raise UsageError("stdin can be read once only")
            stdin_taken = True
        if word == "-" or word.startswith("@"):
            found |= _whole(word)
            continue
        key, equals, value = word.partition("=")
        if not key or not equals:
            # A word without a key may be a value that slipped, so it is counted, not shown.
            raise UsageError(f"invalid key/value pair (number {number}): format must be key=value")
        _add(found, key, _value(key, value))
    return found


def _whole(word: str) -> Data:
    source = "-" if word == "-" else word[1:]
    try:
        decoded = json.loads(read_input(source))
    except ValueError as error:
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{source} is not valid JSON{place}") from None
    if not isinstance(decoded, dict):
        raise UsageError(f"{source} must hold a JSON object")
    return decoded


def _value(key: str, value: str) -> str:
    if value.startswith("\\@"):
        return value[1:]
    if value == "-":
        return read_input("-")
    if value.startswith("@"):
        try:
            return read_input(value[1:])
        except UsageError as error:
            raise UsageError(f'invalid key/value pair "{key}={value}": {error}') from None
    return value


def _add(found: Data, key: str, value: str) -> None:
    if key not in found:
        found[key] = value
    elif isinstance(found[key], list):
        found[key].append(value)
    else:
        found[key] = [found[key], value]
