"""A token helper of the user's own: a program that keeps the token, named in ``~/.vault`` as for Vault's command line.

The file has a line ``token_helper = "/path/to/program"``. The program is called with ``get`` (prints the token, or
nothing), ``store`` (reads it on its standard input) or ``erase``; anything but exit code 0 is a failure.
Source: Vault's "Custom token helper" documentation.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from broker.plugin.errors import ConfigError
from broker.plugin.secret import Secret

TIMEOUT_SECONDS = 60
_LINE = re.compile(r'(?:^|[{,])\s*"?token_helper"?\s*[=:]?\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the settings are: ``$BROKER_CONFIG_PATH``, ``$VAULT_CONFIG_PATH``, ``$BAO_CONFIG_PATH`` or ``~/.vault``."""
    for name in ("BROKER_CONFIG_PATH", "VAULT_CONFIG_PATH", "BAO_CONFIG_PATH"):
        if environ.get(name):
            return Path(environ[name])
    return Path(environ.get("HOME") or "~").expanduser() / ".vault"


def find_helper(environ: Mapping[str, str]) -> str | None:
    """Return the helper's program, if one is named. Raises: ConfigError if it cannot be run."""
    path = config_path(environ)
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", "//")))
    found = _LINE.search(lines)
    if found is None:
        if "token_helper" in lines:
            raise ConfigError(
                f'{path}: token_helper is to be a path in quotes, such as token_helper = "/bin/helper"'
            )
        return None
    named = found.group(1).replace('\\"', '"').replace("\\\\", "\\")
    if not named:
        return None
    program = shutil.which(str(Path(named).expanduser()), path=environ.get("PATH"))
    if program is None:
        raise ConfigError(f"{path}: the token helper {named!r} is not a program that can be run")
    return program


def ask_helper(program: str, environ: Mapping[str, str]) -> Secret[str] | None:
    """Return the token that the helper keeps, if any."""
    text = _call(program, "get", environ).strip()
    return Secret(text) if text else None


def tell_helper(program: str, token: Secret[str], environ: Mapping[str, str]) -> None:
    """Give the helper a token to keep; it goes over a pipe, never into an argument."""
    _call(program, "store", environ, token.reveal())


def _call(program: str, what: str, environ: Mapping[str, str], given: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own program, named in the user's own file
            [program, what],
            input=given,
            capture_output=True,
            text=True,
            env=dict(environ),
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f'token helper "{program} {what}" failed: {type(error).__name__}') from None
    if done.returncode != 0:
        raise ConfigError(f'token helper "{program} {what}" failed with exit code {done.returncode}')
    return done.stdout
