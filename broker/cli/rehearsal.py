"""``-output-curl-string`` and ``-output-policy``: the request that a command would send, shown instead of sent.

What a command asks on the way (which mount serves a path) is sent, since what follows depends on it. Secrets that are typed
or read for a request are neither asked for nor shown: a word in angle brackets stands for them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import unquote

from broker.cli.invocation import Rehearsed
from broker.client import Client, Tls
from broker.client.transport import UNIX, Transport

if TYPE_CHECKING:
    import requests

    from broker.cli.invocation import Invocation

API = "/v1/"
CAPABILITIES = {"GET": ["read"], "PATCH": ["patch"], "DELETE": ["delete"]}
# What needs the capability "sudo" besides, by method and path.
SUDO = re.compile(
    r"""GET\ (?:auth/token/accessors|sys/leases(?:/irrevocable|/lookup(?:/.*)?)?)
      | (?:PUT|POST)\ (?:auth/token/(?:create|revoke)-orphan
          |sys/(?:remount|seal|step-down|rotate(?:/keyring|/root)?|audit-hash/.+|(?:leases/)?revoke-(?:force|prefix)/.+))
      | [A-Z]+\ sys/(?:audit(?:/.+)?|auth/.+|config/(?:cors|auditing/request-headers(?:/.+)?|ui/headers(?:/.+)?)
          |plugins/catalog/.+|generate-root(?:-token)?/.+|rekey(?:-recovery-key)?/.+|rotate/(?:root|recovery)/.+)""",
    re.VERBOSE,
)


def rehearsing_client(run: "Invocation", client: Client, tls: Tls) -> Client:
    """Make a client show its requests, in the form that the flags ask for."""
    client.use(_Rehearsal(client.address, tls, as_curl=run.given.switch("output-curl-string")))
    return client


class _Rehearsal(Transport):
    """Raises what it would send; questions on the way it sends."""

    def __init__(self, address: str, tls: Tls, *, as_curl: bool) -> None:
        super().__init__(address, tls, timeout_seconds=60.0)
        self._tls = tls
        self._as_curl = as_curl
        self._asking = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        before, self._asking = self._asking, True
        try:
            yield
        finally:
            self._asking = before

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> "requests.Response":
        if self._asking and path.startswith(f"{API}sys/"):
            return super().send(method, path, headers, body)
        if self._as_curl:
            raise Rehearsed(curl(self.address, method, path, headers, body, _tls_options(self._tls)))
        raise Rehearsed(policy(method, path))


def curl(
    address: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None,
    options: Sequence[str] = (),
) -> str:
    """The request as a command line. The token is not in it, but the command that prints it."""
    words = ["curl", *options]
    if address.startswith(UNIX):
        words += ["--unix-socket", quote(address.removeprefix(UNIX))]
        address = "http://localhost"
    words += ["-X", method] if method != "GET" else []
    for name, value in headers.items():
        shown = "$(broker print token)" if name == "X-Vault-Token" else value
        words += ["-H", f'"{name}: {shown}"' if name == "X-Vault-Token" else _double(f"{name}: {shown}")]
    words += ["-d", quote(body.decode())] if body is not None else []
    return " ".join([*words, _double(address + path)])


def policy(method: str, path: str) -> str:
    """The policy that the request needs."""
    bare, _, query = path.removeprefix(API).partition("?")
    bare = unquote(bare)
    capabilities = CAPABILITIES.get(method, ["create", "update"])
    asked = set(query.split("&"))
    for verb in ("list", "scan"):
        if f"{verb}=true" in asked:
            capabilities = [verb]
    if SUDO.fullmatch(f"{method} {bare}"):
        capabilities = [*capabilities, "sudo"]
    listed = ", ".join(f'"{capability}"' for capability in capabilities)
    return f"path {json.dumps(bare, ensure_ascii=False)} {{\n  capabilities = [{listed}]\n}}"


def _double(text: str) -> str:
    """Between double quotes, as is usual, unless the shell would see something in it."""
    return quote(text) if re.search(r'[$`"\\!]', text) else f'"{text}"'


def _tls_options(tls: Tls) -> list[str]:
    named = {
        "--cacert": tls.ca_cert,
        "--capath": tls.ca_path,
        "--cert": tls.client_cert,
        "--key": tls.client_key,
    }
    words = [word for option, value in named.items() if value for word in (option, quote(value))]
    return [*words, "--insecure"] if tls.skip_verify else words
