"""Key shares as they come in: typed without echo, from stdin or from a file, and checked before they are sent.

A share is words (SLIP-39), hex or base64. Words carry a checksum, which is verified here: a typing mistake is told
at once and never reaches the server. Shares of other servers (plain hex or base64) pass unchecked.
"""

import base64
import binascii
from typing import TYPE_CHECKING

from broker.cli.argvsecret import secret_argument, stand_in
from broker.cli.invocation import Failure, Invocation
from broker.plugin.secret import Secret

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

PACKED_BYTES = 42  # What 33 words come to in hex or base64; no other server's shares have this length.


def read_share(run: Invocation, what: str = "Unseal Key") -> Secret[str]:
    """Get one share: ``-`` or ``@FILE`` as the argument, else ask. Checked, ready to be sent.

    Raises: Failure (exit code 1) if nobody can be asked; ShareRejected if the share fails a check;
    UsageError for a share on the command line.
    """
    if run.rehearsing:
        return stand_in(what)
    if run.rest:
        return checked(secret_argument(run, run.rest[0], what, refuse=True))
    if not run.interactive:
        raise Failure(
            f"{what}: nobody to ask, stdin is not a terminal. Run the command from a terminal, pipe the share in "
            "with '-', or name a file with '@FILE'",
            1,
        )
    return ask_share(what)


def ask_share(what: str, input: "Input | None" = None, output: "Output | None" = None) -> Secret[str]:  # noqa: A002
    """Ask for one share, word by word, without echo. Only a share that passes its checks is returned."""
    from broker.cli.shareprompt import prompt_share

    return checked(prompt_share(what, input, output))


def checked(share: Secret[str]) -> Secret[str]:
    """The share as it should be sent. Raises: ShareRejected, saying which check failed."""
    from broker.barrier.shares import Share, ShareRejected

    text = share.reveal().strip()
    if len(text.split()) > 1:
        return Secret(Share.parse(expanded(text)).words)
    try:
        Share.parse(text)
    except ShareRejected:
        if _packed_length(text) == PACKED_BYTES:
            raise
    return Secret(text)


def expanded(text: str) -> str:
    """Words written out where their first letters (four suffice) name only one word.

    >>> expanded("acad  Acid acqu")
    'academic acid acquire'
    """
    return " ".join(complete(word) or word for word in text.lower().split())


def complete(prefix: str) -> str | None:
    """The only word that begins so; None if there are several or none."""
    from shamir_mnemonic.wordlist import WORD_INDEX_MAP, WORDLIST

    if prefix in WORD_INDEX_MAP:
        return prefix
    found = [word for word in WORDLIST if word.startswith(prefix)] if prefix else []
    return found[0] if len(found) == 1 else None


def possible(prefix: str) -> bool:
    """Whether any word begins so."""
    from shamir_mnemonic.wordlist import WORDLIST

    return any(word.startswith(prefix) for word in WORDLIST)


def _packed_length(text: str) -> int:
    try:
        return len(binascii.unhexlify(text))
    except ValueError:
        pass
    try:
        return len(base64.b64decode(text, validate=True))
    except ValueError:
        return 0
