import pytest
from broker_plugins.auth.cert import CertMethod

from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness

from .authority import NOW
from .servers import Site, TlsClient, tls_server


class Kit(EngineHarness):
    """The method without a server; ``shows`` is what a client would have shown in the handshake."""

    def __init__(self):
        super().__init__(CertMethod)
        self.clock.now = NOW.timestamp()

    def shows(self, *chain):
        self.connection = Connection(remote_address="192.0.2.7", client_cert_chain=tuple(chain))

    async def log_in(self, holder, name=""):
        self.shows(*holder.ders)
        return await self.update("login", **({"name": name} if name else {}))


@pytest.fixture
def kit():
    return Kit()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Site.build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    """Ours, behind a real TLS socket."""
    made = tls_server("broker", tmp_path_factory.mktemp("tls") / "ours", site)
    yield made
    made.running.stop()


@pytest.fixture(scope="module")
def wire(server):
    """A client of it, with the method enabled."""
    client = TlsClient(server)
    assert client.ask("POST", "sys/auth/cert", {"type": "cert"}).status == 204
    return client
