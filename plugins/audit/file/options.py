"""The file device's options: where, and with which permissions."""

from dataclasses import dataclass

from broker.plugin import WrongOption
from broker.plugin.audit import DeviceConfig

PATH_OPTIONS = ("file_path", "path")
OPTIONS = (*PATH_OPTIONS, "mode")

STDOUT = "stdout"
DISCARD = "discard"
SPECIAL = (STDOUT, DISCARD)

DEFAULT_MODE = 0o600
WIDEST_MODE = 0o640
"""Group may read (log shippers do); nobody else, and nobody may execute."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """``path`` is absolute, or one of ``SPECIAL``; ``option`` gave it. ``mode`` zero keeps what an existing file has."""

    path: str
    mode: int
    beneath: str | None
    option: str = PATH_OPTIONS[0]


def parse_options(config: DeviceConfig) -> FileOptions:
    """Read the options. Raises: WrongOption, in the peer's words where it has them."""
    option = next((name for name in PATH_OPTIONS if config.options.get(name)), "")
    if not option:
        raise WrongOption("", "file_path is required")
    path = config.options[option]
    if path.lower() in SPECIAL:
        path = path.lower()
        if not config.from_config:
            raise WrongOption(
                option, f'file_path "{path}" is only allowed in the server\'s configuration file'
            )
    elif not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise WrongOption(option, "file_path must be an absolute path without '..'")
    return FileOptions(path, parse_mode(config.options.get("mode", "")), config.beneath, option)


def parse_mode(text: str) -> int:
    """Octal permissions, at most 0640; empty is 0600; ``0000`` keeps an existing file's own.

    >>> oct(parse_mode("0640"))
    '0o640'
    """
    if not text:
        return DEFAULT_MODE
    try:
        mode = int(text, 8) if text.isascii() and text.isdigit() else -1
    except ValueError:
        mode = -1
    if mode < 0:
        raise WrongOption("mode", "mode must be octal, as in 0600")
    if mode & ~WIDEST_MODE:
        raise WrongOption("mode", f"mode {text} is too wide: at most {WIDEST_MODE:04o}")
    return mode
