"""The root token of ``-dev``, given by flag, pipe, file or environment, and out of the process list in any case.

A command line can be read by every user of the machine as long as its process lives. So a token found there is handed to the
same program over a pipe: the process runs itself anew, under the same id, with ``@/dev/fd/N`` in the token's place.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.plugin.errors import ConfigError

__all__ = ["FLAG", "dev_token", "keep_out_of_sight"]

FLAG = "dev-root-token-id"
VARIABLES = ("BROKER_DEV_ROOT_TOKEN_ID", "BAO_DEV_ROOT_TOKEN_ID", "VAULT_DEV_ROOT_TOKEN_ID")
PIPE = "/dev/fd/"
LONGEST = 4096  # what any pipe holds without a reader


def keep_out_of_sight(args: Sequence[str]) -> None:
    """Run the program anew if ``args``, which end its command line, hold a token; else return."""
    whole = sys.orig_argv
    before = len(whole) - len(args)
    if before < 1 or whole[before:] != list(args):
        return  # called by a program, with words that nobody else sees
    at = place_of_token(args)
    if at is None:
        return
    flag, equals, value = args[at].partition("=")
    token = (value if equals else args[at]).encode()
    if len(token) > LONGEST:
        raise ConfigError(f"-{FLAG}: expected at most {LONGEST} bytes")
    reading, writing = os.pipe()
    os.write(writing, token)
    os.close(writing)
    os.set_inheritable(reading, True)
    hidden = [*whole]
    hidden[before + at] = (f"{flag}=" if equals else "") + f"@{PIPE}{reading}"
    sys.stdout.flush()
    os.execv(sys.executable, hidden)  # noqa: S606 -- this program, without a shell


def place_of_token(args: Sequence[str]) -> int | None:
    """Where the word is that shows a token.

    >>> place_of_token(["-dev", "-dev-root-token-id", "root"]), place_of_token(["--dev-root-token-id=root"])
    (2, 0)
    >>> place_of_token(["-dev-root-token-id=@/dev/fd/3"]) is place_of_token(["-dev"]) is None
    True
    """
    for at, word in enumerate(args):
        flag, equals, value = word.partition("=")
        if flag.startswith("-") and flag.removeprefix("-").removeprefix("-") == FLAG:
            if equals and value and not value.startswith("@"):
                return at
            if not equals and at + 1 < len(args) and not args[at + 1].startswith(("@", "-")):
                return at + 1
    return None


def dev_token(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The token that the flag or the environment names; ``@FILE`` is what the file holds, ``None`` one to be made up.

    Raises: ConfigError if the file cannot be read.
    """
    if not given:
        return next((environ[name] for name in VARIABLES if environ.get(name)), None)
    if not given.startswith("@"):
        return given
    source = given[1:]
    try:
        if source.startswith(PIPE):
            with os.fdopen(int(source.removeprefix(PIPE)), "rb") as pipe:
                return pipe.read().decode()
        return Path(source).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"-{FLAG}: {source} cannot be read") from error
