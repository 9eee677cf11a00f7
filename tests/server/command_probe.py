"""``broker server`` with a small application in the core's place, run as a script by the tests."""

import importlib.util
import sys
import types
from pathlib import Path

probe_spec = importlib.util.spec_from_file_location("server_probe", Path(__file__).with_name("probe.py"))
probe = importlib.util.module_from_spec(probe_spec)
probe_spec.loader.exec_module(probe)


async def dev_bootstrap(setup, root_token):
    if root_token == "broken":
        raise RuntimeError("the bootstrap fails as asked")
    setup.node.install_root_key(setup.shared)
    return types.SimpleNamespace(unseal_key="an-unseal-key", root_token=root_token or "a-made-token")


compose = types.ModuleType("broker.server.compose")
compose.prepare = lambda config: config.storage.type.encode().ljust(32, b".")
compose.create_app = probe.create_app
compose.dev_bootstrap = dev_bootstrap
sys.modules["broker.server.compose"] = compose

if __name__ == "__main__":
    from broker.server.command import main

    sys.exit(main(sys.argv[1:]))
