"""The token that ``broker login`` keeps: ``~/.vault-token``, shared with Vault's own command line, or the user's helper."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from broker.cli.tokenhelper import ask_helper, find_helper, tell_helper
from broker.plugin.secret import Secret


def token_path(environ: Mapping[str, str]) -> Path:
    """Where the token is kept: ``$BROKER_TOKEN_FILE`` or ``~/.vault-token``."""
    return Path(
        environ.get("BROKER_TOKEN_FILE") or Path(environ.get("HOME") or "~").expanduser() / ".vault-token"
    )


def load_token(environ: Mapping[str, str]) -> Secret[str] | None:
    """The kept token, if there is one. Raises: ConfigError if the user's token helper fails."""
    helper = find_helper(environ)
    if helper is not None:
        return ask_helper(helper, environ)
    try:
        text = token_path(environ).read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Secret(text) if text else None


def store_token(token: Secret[str], environ: Mapping[str, str]) -> Path:
    """Keep a token, readable by its owner only, and return where. Replaces the file, never writes through a link.

    With a token helper it is the helper that keeps it. Raises: ConfigError if that fails.
    """
    helper = find_helper(environ)
    if helper is not None:
        tell_helper(helper, token, environ)
        return Path(helper)
    path = token_path(environ)
    write_private(path, token.reveal())
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: there is never a moment with half of it or with wider permissions."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_like(path: Path, text: str) -> None:
    """Replace a file's text in one step and keep its permissions."""
    mode = path.stat().st_mode & 0o777
    write_private(path, text)
    path.chmod(mode)
