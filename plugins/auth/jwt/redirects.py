"""Where a provider may send people back to."""

from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def allowed_redirect(uri: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether a provider may send people to ``uri``: exactly as listed, but for the port at this very machine.

    Source: RFC 8252, section 7.3.

    >>> allowed_redirect("http://localhost:8250/cb", ("http://localhost/cb",))
    True
    """
    if uri in allowed:
        return True
    wanted = _loopback(uri)
    return wanted is not None and any(_loopback(other) == wanted for other in allowed)


def _loopback(uri: str) -> tuple[str, ...] | None:
    """Return what must agree of an address at this machine, or ``None`` for any other."""
    try:
        parts: SplitResult = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    if parts.hostname not in LOOPBACK or "@" in parts.netloc or "\\" in uri or not uri.isprintable():
        return None
    return (parts.scheme, parts.hostname, parts.path, parts.query, parts.fragment)


def without_namespace(uri: str) -> tuple[str, str]:
    """Take ``namespace`` out of an address's query: it travels in the state instead."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri, ""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    namespace = next((value for name, value in pairs if name == "namespace"), "")
    if not namespace:
        return uri, ""
    rest = urlencode([(name, value) for name, value in pairs if name != "namespace"])
    return parts._replace(query=rest).geturl(), namespace
