import pytest
from broker_plugins.auth.kubernetes import KubernetesMethod

from broker.plugin import Connection
from broker.plugin.testing.engine import EngineHarness

from ..cert.authority import authority
from .cluster import REVIEWER, Cluster, serve, stop

CA = authority("Cluster").pem


class Kit(EngineHarness):
    """The method without a server of ours; the cluster is a real one over HTTP."""

    def __init__(self):
        super().__init__(KubernetesMethod)
        self.connection = Connection(remote_address="192.0.2.7")

    async def configure(self, host, **more):
        settings = {"kubernetes_host": host, "kubernetes_ca_cert": CA, "token_reviewer_jwt": REVIEWER}
        await self.update("config", **{**settings, **more})

    async def role(self, **more):
        bound = {"bound_service_account_names": "app", "bound_service_account_namespaces": "prod"}
        await self.update("role/app", **{**bound, **more})

    async def log_in(self, token, role="app"):
        return await self.update("login", role=role, jwt=token)


@pytest.fixture
def cluster():
    made = Cluster(labels={"prod": {"env": "prod"}, "dev": {"env": "dev"}})
    server = serve(made)
    yield made
    stop(server)


@pytest.fixture
async def kit(cluster):
    import time

    made = Kit()
    made.clock.now = time.time()
    await made.configure(cluster.address)
    await made.role(token_policies="p", token_ttl="10m")
    return made
