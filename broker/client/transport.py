"""One HTTP exchange: TCP with TLS, or a unix socket; no ambient credentials, no redirect to elsewhere."""

import os
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import InsecureRequestWarning

from broker.client.errors import RedirectRefused, Unreachable
from broker.client.settings import Tls
from broker.plugin.errors import ConfigError

CONNECT_TIMEOUT_SECONDS = 10.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
UNIX = "unix://"


class Transport:
    """Carries requests to one address, which is ``http(s)://host[:port][/prefix]`` or ``unix:///path``."""

    def __init__(self, address: str, tls: Tls, *, timeout_seconds: float) -> None:
        self._timeout = (CONNECT_TIMEOUT_SECONDS, timeout_seconds)
        self._session = requests.Session()
        # Otherwise requests would add an Authorization header from ~/.netrc.
        self._session.trust_env = False
        self.address = address.rstrip("/")
        self.base = self._mount_unix(address) if address.startswith(UNIX) else _checked(self.address)
        self._proxies = {} if address.startswith(UNIX) else get_environ_proxies(self.base)
        if self.base.startswith("https://"):
            self._session.verify = _trust(tls)
            self._session.cert = _identity(tls)
            if tls.server_name:
                self._session.mount("https://", _NamedServer(tls.server_name))

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> requests.Response:
        """Send one request and read the whole answer; ``path`` begins with a slash and is already quoted.

        Raises: Unreachable if nothing answers; RedirectRefused if the answer is to ask somewhere else.
        """
        response = self._once(method, self.base + path, headers, body)
        if response.status_code not in REDIRECTS:
            return response
        target = urljoin(self.base + path, response.headers.get("Location", ""))
        if _origin(target) != _origin(self.base) or (method != "GET" and response.status_code < 307):
            raise RedirectRefused(address=self.address, target="{}://{}".format(*_origin(target)))
        response = self._once(method, target, headers, body)
        if response.status_code in REDIRECTS:
            raise RedirectRefused(address=self.address, target="itself, again")
        return response

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around questions on the way to the request that is meant; here there is no difference."""
        yield

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> requests.Response:
        try:
            with _without_tls_warning(self._session.verify):
                return self._session.request(
                    method,
                    url,
                    headers=dict(headers),
                    data=body,
                    allow_redirects=False,
                    timeout=self._timeout,
                    proxies=self._proxies,
                )
        except requests.exceptions.SSLError as error:
            raise Unreachable(f"no trusted connection to {self.address}: {_innermost(error)}") from None
        except (requests.exceptions.RequestException, OSError) as error:
            # The exception holds the prepared request, and with it the token; it goes no further.
            raise Unreachable(f"no answer from {self.address}: {_innermost(error)}") from None

    def _mount_unix(self, address: str) -> str:
        self._session.mount("http://localhost", _UnixAdapter(address.removeprefix(UNIX)))
        return "http://localhost"


class _UnixAdapter(HTTPAdapter):
    """Reaches every URL through one unix socket."""

    def __init__(self, path: str) -> None:
        class UnixConnection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.settimeout(CONNECT_TIMEOUT_SECONDS)
                try:
                    connection.connect(path)
                except BaseException:
                    connection.close()
                    raise
                return connection

        self._pool = HTTPConnectionPool("localhost")
        self._pool.ConnectionCls = UnixConnection
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


class _NamedServer(HTTPAdapter):
    """Connect to one host, but ask for and check the certificate of another name."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        super().init_poolmanager(*args, **kwargs)


@contextmanager
def _without_tls_warning(verify: bool | str | None) -> Iterator[None]:
    """Keep the HTTP library from warning on every request about what the caller chose."""
    if verify is not False:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        yield


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            "the address must look like https://host:8200, http://host:8200 or unix:///path/to/socket"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("the address must not carry a user, a password, a query or a fragment")
    return address


def _trust(tls: Tls) -> bool | str:
    if tls.skip_verify:
        return False
    for path in (tls.ca_cert, tls.ca_path):
        if path:
            if not os.path.exists(path):
                raise ConfigError(f"the CA certificate {path} does not exist")
            return path
    # The system's own store, where organisations install their CA; certifi's only where there is none.
    return ssl.get_default_verify_paths().cafile or True


def _identity(tls: Tls) -> tuple[str, str] | None:
    if not tls.client_cert and not tls.client_key:
        return None
    if not tls.client_cert or not tls.client_key:
        raise ConfigError("a client certificate needs its key, and a key its certificate")
    for path in (tls.client_cert, tls.client_key):
        if not os.path.exists(path):
            raise ConfigError(f"{path} does not exist")
    return tls.client_cert, tls.client_key


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, f"{parts.hostname}:{port}"


def _innermost(error: BaseException) -> str:
    seen = error
    while (deeper := seen.__cause__ or seen.__context__) is not None:
        seen = deeper
    return seen.strerror if isinstance(seen, OSError) and seen.strerror else str(seen) or type(seen).__name__
