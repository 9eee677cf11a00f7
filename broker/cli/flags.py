"""Flags as Go programs take them: ``-format=json``, ``--format json``, ``-force``, before or after the arguments.

argparse reads ``-nonce`` as ``-n once`` and accepts abbreviations of single-dash flags; the field's scripts rely on
neither happening, so the few rules that Go has are spelled out here.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from broker.cli.invocation import Invocation

Kind = Literal["text", "switch", "number", "texts", "pairs", "duration"]
Shows = Literal["text", "sentence", "answer", "fields"]
Value = str | bool | int | list[str] | dict[str, str]
YES = frozenset({"1", "t", "true"})
NO = frozenset({"0", "f", "false"})
_DURATION = re.compile(
    r"system|[-+]?(?:[0-9]+|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|\u00b5s|ms|[smhdw]))*)"
)


class UsageError(Exception):
    """The command line cannot be carried out as written; exit code 1."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. ``switch`` takes no value unless joined by ``=``; ``texts`` and ``pairs`` may be repeated.

    A ``duration`` comes out as the text it is, once it reads as one.
    """

    name: str
    help: str
    kind: Kind = "text"
    aliases: tuple[str, ...] = ()


DETAILED = Flag("detailed", "Print all that is known about each.", "switch")


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``arguments`` is how many it takes at least and at most (None: any number).

    ``shows`` says what it prints: ``fields`` (takes -field and -format), an ``answer`` (takes -format), a ``sentence``
    (silent where BROKER_FORMAT asks for an answer to a program), or ``text`` whatever the format. ``wraps``: it can show
    the wrapping token that -wrap-ttl asks for.
    """

    run: "Callable[[Invocation], int]"
    usage: str
    summary: str
    flags: tuple[Flag, ...] = ()
    arguments: tuple[int, int | None] = (0, 0)
    connects: bool = True
    shows: Shows = "fields"
    wraps: bool = False


@dataclass(slots=True)
class Given:
    """What the command line said: ``rest`` are the arguments, flags come out typed.

    ``ended_at`` is how many arguments came before ``--``, if that was given.
    """

    rest: list[str] = field(default_factory=list)
    ended_at: int | None = None
    values: dict[str, Value] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """A flag's text; None where it was not given."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.values.get(name) is True

    def maybe(self, name: str) -> bool | None:
        """A switch that may also be unset."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else None

    def number(self, name: str) -> int | None:
        """A flag's number; None where it was not given."""
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def texts(self, name: str) -> list[str]:
        """Every text given for a repeatable flag."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def pairs(self, name: str) -> dict[str, str]:
        """Every ``key=value`` given for a repeatable flag."""
        value = self.values.get(name)
        return value if isinstance(value, dict) else {}


def parse(words: Sequence[str], flags: Iterable[Flag]) -> Given:
    """Sort a command line into flags and arguments; ``--`` ends the flags, a lone ``-`` is an argument.

    >>> given = parse(["-format=json", "path", "--force", "a=-1"], [Flag("format", ""), Flag("force", "", "switch")])
    >>> given.text("format"), given.switch("force"), given.rest
    ('json', True, ['path', 'a=-1'])
    """
    known = {name: flag for flag in flags for name in (flag.name, *flag.aliases)}
    given = Given()
    queue = list(reversed(words))
    while queue:
        word = queue.pop()
        if word == "--":
            given.ended_at = len(given.rest)
            given.rest += reversed(queue)
            break
        if word == "-" or not word.startswith("-"):
            given.rest.append(word)
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        flag = known.get(name)
        if flag is None:
            raise UsageError(f"flag provided but not defined: -{name}")
        if not equals and flag.kind != "switch":
            if not queue:
                raise UsageError(f"flag needs an argument: -{name}")
            value = queue.pop()
        _store(given, flag, value if equals or flag.kind != "switch" else "true")
    return given


def check_arguments(given: Given, least: int, most: int | None) -> None:
    """Raise UsageError if there are too few or too many arguments, in Vault's words."""
    count = len(given.rest)
    if count < least:
        raise UsageError(f"Not enough arguments (expected {least}, got {count})")
    if most is not None and count > most:
        raise UsageError(f"Too many arguments (expected {most}, got {count})")


def _store(given: Given, flag: Flag, text: str) -> None:
    name = flag.name
    if flag.kind == "text":
        given.values[name] = text
    elif flag.kind == "duration":
        if not _DURATION.fullmatch(text):
            raise UsageError(f'invalid value "{text}" for flag -{name}: time: invalid duration "{text}"')
        given.values[name] = text
    elif flag.kind == "texts":
        given.values[name] = [*given.texts(name), text]
    elif flag.kind == "pairs":
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"invalid value for flag -{name}: must be key=value")
        given.values[name] = given.pairs(name) | {key: value}
    elif flag.kind == "switch":
        if text.lower() not in YES | NO:
            raise UsageError(f"invalid boolean value for -{name}: must be true or false")
        given.values[name] = text.lower() in YES
    else:
        try:
            given.values[name] = int(text)
        except ValueError:
            raise UsageError(f"invalid value for flag -{name}: must be a whole number") from None
