"""Secrets named on a command line, where every user of the machine can read them in the process list.

``-`` reads stdin, ``@file`` a file, and at a terminal leaving the argument out asks without echo. Shares and login
tokens are refused as plain arguments; short-lived ones are taken with a warning, since the field's scripts do so.
"""

import sys

from broker.cli.data import read_input
from broker.cli.flags import UsageError
from broker.cli.invocation import Failure, Invocation
from broker.plugin.secret import Secret


def secret_argument(run: Invocation, word: str, what: str, *, refuse: bool = False) -> Secret[str]:
    """Resolve ``-``, ``@file`` or a plain word to a secret.

    Raises: UsageError for a plain word if ``refuse``, or if the source is empty.
    """
    if run.rehearsing:
        return stand_in(what)
    if word == "-" or word.startswith("@"):
        return _not_empty(read_input(word.removeprefix("@")), what)
    if refuse:
        raise UsageError(
            f"{what}: not taken from the command line, where other users of this machine can see it. "
            "Leave it out to be asked, pipe it in with '-', or name a file with '@FILE'"
        )
    run.warn(f"Note: {what.lower()} given on the command line; other users of this machine can see it there.")
    return Secret(word)


def ask_secret(run: Invocation, prompt: str) -> Secret[str]:
    """Ask at the terminal without echo. Raises: Failure (exit code 1) if nobody is there to answer."""
    if run.rehearsing:
        return stand_in(prompt)
    if not run.interactive:
        raise Failure(
            f"{prompt}: nobody to ask, stdin is not a terminal. Pipe it in with '-' or use '@FILE'", 1
        )
    from getpass import getpass

    return _not_empty(getpass(f"{prompt} (will be hidden): ", stream=sys.stderr), prompt)


def stand_in(what: str) -> Secret[str]:
    """What a request shows that is not sent: a word for the secret, never the secret.

    >>> stand_in("Unseal Key").reveal()
    '<unseal key>'
    """
    return Secret(f"<{what.lower()}>")


def _not_empty(text: str, what: str) -> Secret[str]:
    if not text.strip():
        raise UsageError(f"{what} is empty")
    return Secret(text.strip())
