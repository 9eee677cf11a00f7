"""What a storage path may be. Checked here, so that no backend meets text it would cut short or choke on."""

from broker.plugin.errors import InvalidRequest


def check_text(text: str) -> str:
    """Return ``text`` if any backend can hold it. Raises: InvalidRequest for NUL and lone surrogates."""
    if "\0" in text:
        raise InvalidRequest("a storage path holds no NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("a storage path is valid Unicode") from None
    return text


def check_path(path: str) -> str:
    """Return ``path`` if an entry can be there. Raises: InvalidRequest."""
    if not path or path.endswith("/"):
        raise InvalidRequest("a storage path is not empty and does not end in a slash")
    return check_text(path)


def check_prefix(prefix: str) -> str:
    """Return ``prefix`` if it is empty or ends in a slash; else a ValueError, for that is the code's mistake."""
    if prefix and not prefix.endswith("/"):
        raise ValueError(f"a prefix ends in a slash: {prefix!r}")
    return check_text(prefix)
