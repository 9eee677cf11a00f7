"""Listening sockets: bound once by the arbiter, inherited by every worker."""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Sequence

from broker.plugin.errors import ConfigError
from broker.server.settings import ListenerConfig

__all__ = ["ListeningSocket", "bind_all", "split_address"]

_BACKLOG = 4096


class ListeningSocket:
    """A bound, listening, non-blocking socket and the stanza that asked for it. gunicorn sees it as its own."""

    def __init__(self, sock: socket.socket, config: ListenerConfig) -> None:
        self.sock = sock
        self.config = config

    def __str__(self) -> str:
        if self.config.kind == "unix":
            return f"unix:{self.config.address}"
        host, port = self.sock.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.config.tls else 'http'}://{host}:{port}"

    def getsockname(self) -> object:
        """The bound address, as the socket module gives it."""
        return self.sock.getsockname()

    def fileno(self) -> int:
        """The descriptor, or -1 once closed."""
        return self.sock.fileno()

    def get_backlog(self) -> int:
        """gunicorn asks; -1 means unknown."""
        return -1

    def close(self) -> None:
        """Close this process's descriptor."""
        self.sock.close()


def bind_all(listeners: Sequence[ListenerConfig]) -> list[ListeningSocket]:
    """Bind every listener. Raises: ConfigError naming the address that could not be had."""
    bound: list[ListeningSocket] = []
    for config in listeners:
        try:
            sock = _bind_unix(config) if config.kind == "unix" else _bind_tcp(config.address)
        except (OSError, KeyError) as error:
            for other in bound:
                other.close()
            reason = error.strerror if isinstance(error, OSError) else f"unknown name {error}"
            raise ConfigError(f"cannot listen on {config.address}: {reason}") from error
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        bound.append(ListeningSocket(sock, config))
    return bound


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``. Raises: ValueError.

    >>> split_address("[::1]:8200")
    ('::1', 8200)
    """
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError("expected host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bind_tcp(address: str) -> socket.socket:
    """Bind an address; none (``:8200``), and ``[::]``, are all addresses of both families."""
    host, port = split_address(address)
    if not host and socket.has_dualstack_ipv6():
        host = "::"  # of both families, as below
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, proto, _name, where = found[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(where)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(config: ListenerConfig) -> socket.socket:
    """Bind a Unix socket; it is nobody's but ours until mode and owner are set (the umask is 077)."""
    path = config.address
    if os.path.exists(path):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is not a socket is in the way")
        if _someone_listens(path):
            raise OSError(errno.EADDRINUSE, "Address already in use")
        os.unlink(path)  # left behind by a server that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    uid, gid = _user_id(config.socket_user), _group_id(config.socket_group)
    if (uid, gid) != (-1, -1):
        os.chown(path, uid, gid)
    if config.socket_mode is not None:
        os.chmod(path, config.socket_mode)
    return sock


def _someone_listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0


def _user_id(name: str | None) -> int:
    if not name:
        return -1
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid


def _group_id(name: str | None) -> int:
    if not name:
        return -1
    return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
