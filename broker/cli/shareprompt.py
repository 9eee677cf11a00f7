"""Typing a share: nothing of it appears on the screen, yet every word says at once whether it is one.

Four letters are enough for a word; the space bar completes it. The line shows one dot per finished word, the line
above how the current word is doing and, at the end, whether the checksum is right.
"""

import sys
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.document import Document
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.validation import ValidationError, Validator

from broker.barrier.shares import Share, ShareRejected
from broker.cli.shares import checked, complete, expanded, possible
from broker.plugin.secret import Secret

if TYPE_CHECKING:
    from prompt_toolkit.input import Input

WORDS = 33
LONGEST_WORD = 8


def prompt_share(what: str, input: "Input | None" = None, output: Output | None = None) -> Secret[str]:  # noqa: A002
    """Ask until a share passes its checks. Raises: KeyboardInterrupt, EOFError if the person gives up."""
    session: PromptSession[str] = PromptSession(
        history=DummyHistory(),
        input=input,
        # Stderr, so that an answer on stdout can be piped on.
        output=output or create_output(stdout=sys.stderr),
    )
    text = session.prompt(
        # Above the line, not in a toolbar: that one stays away on terminals which do not tell their cursor.
        lambda: f"{feedback(session.default_buffer.text)}\n{what} (will be hidden): ",
        input_processors=[_Hide()],
        key_bindings=_bindings(),
        validator=_Checks(),
        validate_while_typing=False,
        enable_history_search=False,
        enable_suspend=False,
        enable_open_in_editor=False,
    )
    return Secret(expanded(text) if _is_words(text) else text.strip())


def feedback(text: str) -> str:
    """One line on what was typed so far; it never contains a letter of it.

    >>> feedback("academic acid zzz")
    'Word 3 of 33: no word begins like this - use backspace'
    """
    if not text:
        return "First letters are enough, the space bar completes the word. Hex and base64 can be pasted."
    if not _is_words(text):
        return "Not words: taken as hex or base64"
    words = text.lower().split()
    if len(words) >= WORDS and complete(words[-1]):
        return _verdict(text)
    if text[-1].isspace():
        return f"{len(words)} of {WORDS} words"
    if complete(words[-1]):
        return f"Word {len(words)} of {WORDS}: recognised"
    if possible(words[-1]):
        return f"Word {len(words)} of {WORDS}: ..."
    return f"Word {len(words)} of {WORDS}: no word begins like this - use backspace"


def _verdict(text: str) -> str:
    try:
        share = Share.parse(expanded(text))
    except ShareRejected as error:
        return f"NOT a valid share: {error}"
    group = f" of group {share.group_index + 1}" if share.group_count > 1 else ""
    return f"Checksum right: share {share.member_index + 1}{group}. Press Enter"


def _is_words(text: str) -> bool:
    """Whether someone is typing words, rather than pasting hex or base64."""
    words = text.split()
    return len(words) > 1 or (len(words) == 1 and len(words[0]) <= LONGEST_WORD and words[0].isalpha())


def _finished(text: str) -> int:
    return len(text.split()) if text[-1:].isspace() else max(len(text.split()) - 1, 0)


class _Hide(Processor):
    """Shows a dot per finished word and a ring for the one being typed: not even its length."""

    def apply_transformation(self, given: TransformationInput) -> Transformation:
        text = given.document.text
        done = _finished(text)
        typing = bool(text) and not text[-1].isspace()
        shown = "\u25cf " * done + ("\u25cb" if typing else "")
        return Transformation([("", shown)], lambda _: len(shown), lambda _: len(text))


class _Checks(Validator):
    def validate(self, document: Document) -> None:
        text = document.text
        if not text.strip():
            raise ValidationError(0, "Type the share, or press Ctrl-C to stop")
        try:
            checked(Secret(expanded(text) if _is_words(text) else text))
        except ShareRejected as error:
            raise ValidationError(len(text), str(error).capitalize()) from None


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add(" ")
    @bindings.add("tab")
    def _next_word(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        if not text or text[-1].isspace():
            return
        if not _is_words(text):
            buffer.insert_text(" ")
            return
        typed = text.split()[-1].lower()
        word = complete(typed)
        if word is None:
            event.app.output.bell()
            return
        buffer.delete_before_cursor(len(typed))
        buffer.insert_text(word + " ")

    return bindings
