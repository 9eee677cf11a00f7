"""Reading a key of 32 bytes: as it stands in the configuration, or from the file or variable that is named there."""

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from broker.plugin.errors import WrongSetting
from broker.plugin.secret import Secret

KEY_BYTES: Final = 32
_FILE: Final = "file://"
_VARIABLE: Final = "env://"
_LONGEST_FILE: Final = 1024
_WANTED: Final = "a key of 32 bytes: in hex or base64, or where it is: file:///PATH or env://NAME"


def read_key(setting: str, given: object, environ: Mapping[str, str] = os.environ) -> Secret[bytes]:
    """Return the key that a setting gives or points to.

    A key is 32 raw bytes, 64 hex digits, or the base64 of 32 bytes, padded or not; in a file, a line break may
    follow. Raises: WrongSetting, which never quotes what it found.
    """
    if not isinstance(given, str):
        raise WrongSetting(setting, f"expected {setting} to be {_WANTED}")
    if given.startswith(_FILE):
        path = given.removeprefix(_FILE)
        return _decoded(setting, _content(setting, Path(path)), f"the file {path}")
    if given.startswith(_VARIABLE):
        name = given.removeprefix(_VARIABLE)
        if not environ.get(name):
            raise WrongSetting(setting, f"expected the environment variable {name} to hold the {setting}")
        return _decoded(setting, environ[name].encode(), f"the environment variable {name}")
    return _decoded(setting, given.encode(), "")


def _content(setting: str, path: Path) -> bytes:
    """Read a key file. Group members may read it, as where it is mounted for them; the rest of the world may not."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise WrongSetting(setting, f"expected {path} to be a regular file")
            if facts.st_mode & stat.S_IRWXO:
                mode = stat.S_IMODE(facts.st_mode)
                raise WrongSetting(
                    setting,
                    f"expected a key file that is closed to others (chmod o= {path}), its mode is {mode:04o}",
                )
            return file.read(_LONGEST_FILE)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else "no such name is possible"
        raise WrongSetting(setting, f"the key file {path} cannot be read: {reason}") from None


def _decoded(setting: str, data: bytes, place: str) -> Secret[bytes]:
    if len(data) == KEY_BYTES:
        return Secret(data)
    text = data.removesuffix(b"\n").removesuffix(b"\r")
    for decode in (binascii.unhexlify, _base64):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return Secret(key)
    if place:
        raise WrongSetting(setting, f"expected {place} to hold 32 bytes, raw, in hex or in base64")
    raise WrongSetting(setting, f"expected {setting} to be {_WANTED}")


def _base64(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
