"""A server with two listeners: plain HTTP to look after it, TLS that asks for client certificates."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fixtures.servers import BIN, RunningServer, free_port
from tests.peer.client import Client, Reply

from .authority import Holder, authority, ip, make

SHOWS = "X-Test-Shows"
"""A header that is not sent: the name of the certificate to show in the handshake."""


@dataclass
class Site:
    """A folder with a server's certificate and the certificates of its clients."""

    folder: Path
    root: Holder
    names: set[str] = field(default_factory=set)

    @classmethod
    def build(cls, folder: Path) -> Site:
        root = authority("Servers")
        make("server", issuer=root, names=ip("127.0.0.1")).files(folder, "server")
        root.files(folder, "root")
        return cls(folder, root)

    def keep(self, **holders: Holder) -> None:
        for name, holder in holders.items():
            holder.files(self.folder, name)
            self.names.add(name)

    def context(self, shows: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # clients with weak keys get as far as the server
        if shows:
            context.load_cert_chain(self.folder / f"{shows}.pem", self.folder / f"{shows}.key")
        return context


@dataclass
class TlsServer:
    """One running server, unsealed; ``root`` is its root token."""

    running: RunningServer
    tls: str
    site: Site
    root: str = ""

    def open(self) -> TlsServer:
        """Initialise and unseal it."""
        plain = Client(self.running.address)
        body = json.dumps({"secret_shares": 1, "secret_threshold": 1}).encode()
        made = plain.send("PUT", "/v1/sys/init", {}, body).body
        self.root = made["root_token"]
        key = json.dumps({"key": made["keys_base64"][0]}).encode()
        assert plain.send("PUT", "/v1/sys/unseal", {}, key).body["sealed"] is False
        plain.close()
        return self


def tls_server(
    command: str, folder: Path, site: Site, *, listener: dict[str, Any] | None = None
) -> TlsServer:
    """Start ours or the peer's; the caller stops ``running``."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, tls = free_port(), free_port()
    files = {
        "tls_cert_file": str(site.folder / "server.pem"),
        "tls_key_file": str(site.folder / "server.key"),
    }
    config = {
        "listener": [
            {"tcp": {"address": f"127.0.0.1:{plain}", "tls_disable": True}},
            {"tcp": {"address": f"127.0.0.1:{tls}", **files, **(listener or {})}},
        ],
        "storage": {"inmem": {}} if command == "bao" else {"sqlite": {"path": str(folder / "data")}},
        "api_addr": f"http://127.0.0.1:{plain}",
        **({} if command == "bao" else {"workers": 1}),
    }
    path = folder / "server.json"
    path.write_text(json.dumps(config))
    argv = [str(BIN / command), "server", f"-config={path}"]
    running = RunningServer(f"{command}-tls", argv, f"http://127.0.0.1:{plain}", folder).start()
    try:
        return TlsServer(running, f"https://127.0.0.1:{tls}", site).open()
    except BaseException:
        running.stop()
        raise


class TlsClient:
    """Sends like ``tests.peer.client.Client``, each request on a connection that shows the certificate it names."""

    def __init__(self, server: TlsServer) -> None:
        self._server = server

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        sent = {name: value for name, value in headers.items() if name != SHOWS}
        context = self._server.site.context(headers.get(SHOWS, ""))
        host = self._server.tls.removeprefix("https://")
        connection = http.client.HTTPSConnection(host, context=context, timeout=30)
        try:
            connection.request(method, target, body=body, headers=sent)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        try:
            parsed = json.loads(raw) if raw else None
        except ValueError:
            parsed = raw.decode(errors="replace")
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, parsed, raw)

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, shows: str = ""
    ) -> Reply:
        """Send JSON. ``token`` empty sends none; ``None`` is the root token."""
        headers = {SHOWS: shows} if shows else {}
        token = self._server.root if token is None else token
        if token:
            headers["X-Vault-Token"] = token
        data = None if body is None else json.dumps(body).encode()
        return self.send(method, f"/v1/{path}", headers, data)

    def log_in(self, shows: str, name: str = "", mount: str = "cert") -> Reply:
        body = {"name": name} if name else {}
        return self.ask("POST", f"auth/{mount}/login", body, token="", shows=shows)

    def close(self) -> None:
        """Nothing stays open."""
