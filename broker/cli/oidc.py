"""``broker login -method=oidc``: a login in the browser. The provider's answer comes to a port of this machine, or is polled for.

Arguments (``key=value``) are those of the field's CLIs: ``role``, ``callbackmode`` (``client``, ``direct``, ``device``),
``listenaddress``, ``port``, ``callbackhost``, ``callbackmethod``, ``callbackport``, ``skip_browser``.
"""

import hmac
import html
import secrets
import time
import webbrowser
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broker.cli.data import Data, parse_data, plain_path
from broker.cli.flags import UsageError
from broker.cli.invocation import Failure, Invocation
from broker.client import ApiError, Client, ClientError, Reply

WAIT_SECONDS = 300.0
LISTEN_ON = "localhost"
PORT = "8250"
MAX_FORM = 1 << 17
STILL = ("authorization_pending", "slow_down")
SETTINGS = (
    "role",
    "callbackmode",
    "listenaddress",
    "port",
    "callbackhost",
    "callbackmethod",
    "callbackport",
    "skip_browser",
)
_PAGE = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
    "<title>{title}</title><h1>{title}</h1><p>{text}</p></html>"
)


def log_in_with_browser(run: Invocation, name: str) -> Reply:
    """Log in at the provider's page. Raises: Failure, ClientError."""
    data = parse_data(run.rest)
    unknown = sorted(set(data) - set(SETTINGS))
    if unknown:
        raise UsageError(f'unknown argument "{unknown[0]}"; known are: {", ".join(SETTINGS)}')
    _port(data)
    path = plain_path(run.given.text("path") or name)
    mode = str(data.get("callbackmode") or "client")
    nonce = secrets.token_urlsafe(20)
    with run.new_client(None) as client:
        asked = {"role": data.get("role", ""), "redirect_uri": _redirect(client, path, mode, data)}
        begun = client.write(f"auth/{path}/oidc/auth_url", {**asked, "client_nonce": nonce}).data
        url = str(begun.get("auth_url") or "")
        if urlsplit(url).scheme not in ("http", "https"):
            raise Failure(
                f'Unable to authorize role "{asked["role"]}" with redirect_uri "{asked["redirect_uri"]}": '
                "the role may not allow it; the server's log says more"
            )
        if (mode == "client") == bool(begun.get("state")):
            raise Failure(f"the role is not for callbackmode={mode}")
        if mode != "client":
            _show(run, url, data, str(begun.get("user_code") or ""))
            return _poll(client, path, begun, nonce)
        with Listener(client, path, nonce, url, data) as listener:
            _show(run, url, data)
            return listener.wait()


def _redirect(client: Client, path: str, mode: str, data: Data) -> str:
    """Where the provider is to send the answer: to this machine, or in ``direct`` mode to the server."""
    server = urlsplit(client.address) if mode == "direct" else None
    if server is not None:
        host, scheme = server.hostname or "", server.scheme
        port = str(data.get("callbackport") or f"{server.port or ''}")
        where = f"{port}/v1/auth/{path}" if "/" not in port else port
    else:
        host, scheme = LISTEN_ON, "http"
        where = str(data.get("callbackport") or data.get("port") or PORT)
    host = str(data.get("callbackhost") or host)
    scheme = str(data.get("callbackmethod") or scheme)
    joint = "" if where.startswith("/") else ":"
    return f"{scheme}://{host}{joint}{where}/oidc/callback"


def _port(data: Data) -> int:
    port = str(data.get("port") or PORT)
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 < int(port) < 65536:
        raise UsageError("port: expected a number up to 65535")
    return int(port)


def _show(run: Invocation, url: str, data: Data, user_code: str = "") -> None:
    opened = False
    if str(data.get("skip_browser", "")).lower() not in ("1", "t", "true"):
        run.warn(f"Complete the login via your OIDC provider. Launching browser to:\n\n    {url}\n\n")
        opened = webbrowser.open(url)
        if not opened:
            run.warn("No browser could be opened. Please visit the address above.")
    else:
        run.warn(
            "Complete the login via your OIDC provider. Open the following link in your browser:\n\n"
            f"    {url}\n\n"
        )
    if user_code:
        run.warn(f"When prompted, enter code {user_code}\n")
    run.warn("Waiting for OIDC authentication to complete...")


def _poll(client: Client, path: str, begun: Mapping[str, Any], nonce: str) -> Reply:
    """Ask the server until the login is done. Raises: ApiError once it is refused; Failure after too long."""
    interval = float(begun.get("poll_interval") or 5)
    deadline = time.monotonic() + WAIT_SECONDS
    body = {"state": begun["state"], "client_nonce": nonce}
    while time.monotonic() < deadline:
        time.sleep(interval)
        try:
            return client.write(f"auth/{path}/oidc/poll", body)
        except ApiError as error:
            if not error.errors or error.errors[0] not in STILL:
                raise
            interval += 5 if error.errors[0] == "slow_down" else 0
    raise Failure("Timed out waiting for response from provider")


class Listener:
    """A port of this machine that the provider's answer comes to. Only the answer to this login is heard."""

    def __init__(self, client: Client, path: str, nonce: str, url: str, data: Data) -> None:
        self._client = client
        self._path = f"auth/{path}/oidc/callback"
        self._nonce = nonce
        self._state = (parse_qs(urlsplit(url).query).get("state") or [""])[0]
        self._outcome: Reply | ClientError | None = None
        address = str(data.get("listenaddress") or LISTEN_ON)
        port = _port(data)
        try:
            self._server = HTTPServer((address, port), self._handler())
        except OSError as error:
            raise Failure(f"cannot listen at {address}:{port}: {error.strerror or 'failed'}") from None

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.server_close()

    def wait(self) -> Reply:
        """Serve until the answer has come and the server has judged it. Raises: ClientError, Failure."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self._outcome is None and time.monotonic() < deadline:
            self._server.timeout = 1.0
            self._server.handle_request()
        if isinstance(self._outcome, ClientError):
            raise self._outcome
        if self._outcome is None:
            raise Failure("Timed out waiting for response from provider")
        return self._outcome

    def take(self, fields: Mapping[str, str], *, posted: bool) -> tuple[int, str, str]:
        """Hand the provider's answer to the server. Returns a status, a title and a text for the browser."""
        state = fields.get("state", "")
        if fields.get("error") and not state:
            # Not all providers send the state along with a refusal. All that others could do with this is end the wait.
            self._outcome = ClientError("the provider refused the login")
            return 400, "Login failed", "The provider refused the login."
        if not hmac.compare_digest(state.encode(), self._state.encode()):
            return 400, "Not this login", "This answer belongs to another login; nothing was done."
        given = {name: fields[name] for name in ("state", "code", "error") if fields.get(name)}
        given["client_nonce"] = self._nonce
        try:
            if posted:
                self._post({**given, "id_token": fields.get("id_token", "")})
            self._outcome = self._client.request("GET", self._path, query=given)
        except ClientError as error:
            self._outcome = error
            return 400, "Login failed", "\n".join(error.messages) or "The server refused."
        return 200, "Signed in", "You can close this page and go back to your terminal."

    def _post(self, fields: Mapping[str, str]) -> None:
        try:
            self._client.write(self._path, dict(fields))
        except ApiError:
            raise
        except ClientError:
            pass  # The answer is a page for a browser.

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds that a connection may keep the others waiting

            def do_GET(self) -> None:
                self._serve(urlsplit(self.path).query, posted=False)

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                size = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else 0
                self._serve(self.rfile.read(min(size, MAX_FORM)).decode("latin-1"), posted=True)

            def _serve(self, query: str, *, posted: bool) -> None:
                if urlsplit(self.path).path != "/oidc/callback":
                    self._say(404, "Not found", "")
                    return
                found = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
                self._say(*listener.take(found, posted=posted))

            def _say(self, status: int, title: str, text: str) -> None:
                page = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base names it
                """Say nothing: the request line holds the code."""

        return Handler
