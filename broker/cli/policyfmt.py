"""The usual layout of an HCL policy: two blanks per level, one attribute a line, comments where they were."""

import json
import re
from collections.abc import Iterator

from broker.access.policy import hcl1
from broker.cli.invocation import Failure

INDENT = "  "
_PIECE = re.compile(
    r"""(?P<blank>[ \t\r]+)
      | (?P<newline>\n)
      | (?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<value>"(?:[^"\\\n]|\\.)*"|[^\s\[\]{}=,"\#/]+)
      | (?P<mark>[\[\]{}=,])""",
    re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r'^(?P<indent> *)(?P<key>[\w.-]+|"(?:[^"\\]|\\.)*") = (?P<value>.*)$')

Piece = tuple[str, str]


def formatted(text: str) -> str:
    """Lay out a policy anew.

    >>> print(formatted('path "a" { capabilities=["read"] }'), end="")
    path "a" {
      capabilities = ["read"]
    }

    Raises: InvalidRequest if it is not HCL, naming the line; Failure for what cannot be laid out safely.
    """
    if text.lstrip().startswith("{"):
        return _json(text)
    before = _meaning(hcl1.read(text))
    if "<<" in text:
        raise Failure("policies with heredocs are not formatted: every blank in them counts", 1)
    lines = _aligned(list(_Layout().lines(_pieces(text))))
    after = "\n".join(lines).strip("\n") + "\n"
    if _meaning(hcl1.read(after)) != before:
        raise Failure("formatting would change what the policy means; the file is left alone", 1)
    return after


def _json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except ValueError:
        raise Failure("the policy is not valid JSON", 1) from None


def _meaning(value: object) -> object:
    """A parsed policy without its line numbers."""
    if isinstance(value, hcl1.Object):
        return [(item.keys, _meaning(item.value), item.is_block) for item in value]
    return value


def _pieces(text: str) -> Iterator[Piece]:
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None or match.lastgroup is None:
            raise Failure("the policy has a character that cannot be laid out", 1)
        position = match.end()
        if match.lastgroup != "blank":
            yield match.lastgroup, match.group()


class _Layout:
    """Turns pieces into lines. ``line`` collects the current one; ``brackets`` counts the open lists."""

    def __init__(self) -> None:
        self.depth = 0
        self.brackets = 0
        self.line = ""
        self.last: Piece = ("newline", "\n")

    def lines(self, pieces: Iterator[Piece]) -> Iterator[str]:
        """Yield the laid-out lines."""
        for kind, text in pieces:
            if kind == "newline":
                yield from self._newline()
            elif kind == "comment":
                yield from self._comment(text)
            elif text == "}":
                yield from self._close()
            else:
                if self._begins_attribute(kind, text):
                    yield from self._flush()
                self._add(text)
                if text == "{":
                    yield from self._flush()
                    self.depth += 1
            self.last = (kind, text)
        yield from self._flush()

    def _begins_attribute(self, kind: str, text: str) -> bool:
        """Whether a value follows a finished ``key = value`` on the same line: the next attribute."""
        finished = " = " in self.line and not self.line.endswith((" = ", "[", ",")) and not self.brackets
        return (kind == "value" and finished) or (text == "," and not self.brackets)

    def _add(self, text: str) -> None:
        if text == "," and not self.brackets:
            return
        self.brackets += {"[": 1, "]": -1}.get(text, 0)
        tight = not self.line or self.line.endswith((" ", "["))
        if text == "=":
            self.line += " = "
        elif text == ",":
            self.line += ", "
        elif text == "]":
            self.line = self.line.rstrip(" ") + "]"
        else:
            self.line += text if tight else f" {text}"

    def _newline(self) -> Iterator[str]:
        if self.brackets:
            return
        if self.line:
            yield from self._flush()
        elif self.last == ("newline", "\n"):
            yield ""

    def _comment(self, text: str) -> Iterator[str]:
        if self.brackets and not text.startswith("/*"):
            # A comment to the end of the line would swallow the rest of a list that we put on one line.
            raise Failure("a list with comments between its items is not formatted", 1)
        self.line += f" {text}" if self.line else text
        if not self.brackets:
            yield from self._flush()

    def _close(self) -> Iterator[str]:
        yield from self._flush()
        self.depth -= 1
        self.line = "}"
        yield from self._flush()

    def _flush(self) -> Iterator[str]:
        if self.line:
            yield INDENT * self.depth + self.line.rstrip()
        self.line = ""


def _aligned(lines: list[str]) -> list[str]:
    """Line up the equal signs of neighbouring attributes, and drop blank lines that separate nothing."""
    done: list[str] = []
    run: list[re.Match[str]] = []
    for line in [*lines, ""]:
        match = _ATTRIBUTE.match(line)
        if match and not line.endswith("{") and (not run or run[-1]["indent"] == match["indent"]):
            run.append(match)
            continue
        width = max((len(found["key"]) for found in run), default=0)
        done += [f"{found['indent']}{found['key']:<{width}} = {found['value']}" for found in run]
        run = []
        if line.strip() == "}" and done and not done[-1]:
            done.pop()
        if line or (done and done[-1] and not done[-1].endswith("{")):
            done.append(line)
    return done
