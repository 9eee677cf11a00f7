"""The one spelling of a role's name."""

import re

from broker.plugin import UnsupportedPath

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)


def role_name(text: str) -> str:
    """Return a role's name in lower case. Raises: UnsupportedPath for one that no role can have.

    >>> role_name("App-1")
    'app-1'
    """
    name = text.lower() if text.isascii() else ""
    if not _NAME.fullmatch(name):
        raise UnsupportedPath
    return name
