"""The workers of a node are named in one another's audit checkpoints."""

from broker.audit.verify import verify_file
from broker.core.compose import Application, prepare
from broker.core.system.initialise import initialise_store
from broker.server.nodepage import NodePage
from broker.server.settings import AuditStanza, ServerConfig, StorageStanza
from tests.audit.helpers import an_entry, records


async def test_a_worker_signs_how_far_the_others_of_its_node_have_come(tmp_path):
    log, page = tmp_path / "audit.log", NodePage(lock_memory=False)
    config = ServerConfig(
        storage=StorageStanza("sqlite", {"path": str(tmp_path / "data")}),
        audit=(AuditStanza("file", "main", options={"file_path": str(log)}),),
        disable_mlock=True,
    )
    workers = [Application(prepare(config), node=page, audit_stanzas=config.audit) for _ in range(2)]
    try:
        done = await initialise_store(
            workers[0].parts, {"secret_shares": 1, "secret_threshold": 1}, root_token="root"
        )
        page.install_root_key(done.root_key.reveal())
        runtimes = [await worker.seal_state.enter() for worker in workers]
        for runtime in runtimes:
            assert runtime.auditor.request(an_entry()) is None
            await runtime.devices.upkeep()
        runtimes[0].auditor.checkpoint()
        first, second, checkpoint = (line["chain"] for line in records(log))
        assert checkpoint["writer"] == first["writer"]
        assert checkpoint["others"] == {second["writer"]: second["seq"]}
    finally:
        for worker in workers:
            await worker.close()
    assert verify_file(log).complete
