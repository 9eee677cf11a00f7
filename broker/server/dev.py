"""Development mode: everything in memory, initialised and unsealed before the first request."""

import asyncio
import inspect
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from broker.plugin.errors import ConfigError
from broker.server.settings import ListenerConfig, ServerConfig, StorageStanza
from broker.server.setup import WorkerSetup
from broker.server.sockets import ListeningSocket, split_address

__all__ = ["DevBootstrap", "DevInfo", "dev_config"]

_NOTICE = """
WARNING! dev mode is enabled! In this mode, Broker runs entirely in-memory
and starts unsealed with a single unseal key. The root token is already
authenticated to the CLI, so you can immediately begin using Broker.

You may need to set the following environment variables:

    $ export BROKER_ADDR='{address}'
    $ export VAULT_ADDR='{address}'
{more}
The unseal key and root token are displayed below in case you want to
seal/unseal the Broker or re-authenticate.

Unseal Key: {unseal_key}
Root Token: {root_token}

Development mode should NOT be used in production installations!
"""


class DevInfo(Protocol):
    """What the core's ``dev_bootstrap`` gives back."""

    @property
    def unseal_key(self) -> str: ...
    @property
    def root_token(self) -> str: ...


Bootstrap = Callable[[WorkerSetup, str | None], DevInfo | Awaitable[DevInfo]]


def dev_config(address: str, *, tls: bool = False) -> ServerConfig:
    """The settings of ``-dev``: one listener, storage in memory."""
    listener = ListenerConfig(address=address, tls_disable=True)
    if tls:
        certificate, key = _make_certificate(Path(tempfile.mkdtemp(prefix="broker-dev-")), address)
        listener = ListenerConfig(address=address, tls_cert_file=certificate, tls_key_file=key)
    listener = replace(listener, max_request_duration=ServerConfig().default_max_request_duration)
    scheme = "https" if tls else "http"
    return ServerConfig(
        listeners=(listener,),
        storage=StorageStanza("inmem"),
        api_addr=f"{scheme}://{address}",
        disable_mlock=True,
        raw_storage_endpoint=True,
        introspection_endpoint=True,
        unsafe_allow_api_audit_creation=True,
        ui=True,
        dev=True,
    )


@dataclass(slots=True)
class DevBootstrap:
    """Initialises and unseals in a child process, so that the arbiter never builds an application.

    What the child leaves behind is in the store and on the node page; the keys come back over a pipe.
    """

    bootstrap: Bootstrap
    root_token: str | None
    store_token: bool = True
    _keys: tuple[str, str] = field(default=("", ""), repr=False)

    def run(self, setup: WorkerSetup) -> None:
        """Raises: ConfigError if the child failed; it has said why."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._in_child(setup, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _pid, status = os.waitpid(child, 0)
        if status != 0 or not answer:
            raise ConfigError("the development server could not be initialised")
        unseal_key, root_token = json.loads(answer)
        self._keys = (unseal_key, root_token)
        if self.store_token:
            self._keep_token(root_token)

    def _in_child(self, setup: WorkerSetup, pipe: int) -> None:
        status = 1
        try:
            info = asyncio.run(self._bootstrap(setup))
            os.write(pipe, json.dumps([info.unseal_key, info.root_token]).encode())
            status = 0
        except Exception:
            import logging

            logging.getLogger("broker.server").exception("the development server could not be initialised")
        finally:
            os._exit(status)  # no exit handlers: they belong to the parent

    async def _bootstrap(self, setup: WorkerSetup) -> DevInfo:
        outcome = self.bootstrap(setup, self.root_token)
        return await outcome if inspect.isawaitable(outcome) else outcome

    def _keep_token(self, token: str) -> None:
        path = Path(os.environ.get("BROKER_TOKEN_FILE") or Path.home() / ".vault-token")
        with suppress(OSError):  # a home that cannot be written to is no reason not to start
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(token)
            Path(temporary).replace(path)

    def notice(self, listeners: Iterable[ListeningSocket]) -> str:
        """The text that shows address, unseal key and root token."""
        listener = next(iter(listeners))
        certificate = listener.config.tls_cert_file if listener.config.tls else None
        more = f"    $ export VAULT_CACERT='{certificate}'\n" if certificate else ""
        unseal_key, root_token = self._keys
        return _NOTICE.format(address=listener, more=more, unseal_key=unseal_key, root_token=root_token)


def _make_certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for this host, good for a year."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    host = split_address(address)[0]
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    with suppress(ValueError):
        names.append(x509.IPAddress(ip_address(host)))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker-dev")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    at = folder / "cert.pem", folder / "key.pem"
    at[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    at[1].touch(mode=0o600)
    at[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return at
