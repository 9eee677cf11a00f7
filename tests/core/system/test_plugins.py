"""The catalog shows what is installed, whoever made it; nothing can be registered over the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.system.conftest import Api
from tests.fixtures.servers import RunningServer, dev_argv, free_port
from tests.plugin.test_thirdparty import installed

__all__ = ["installed"]  # the fixture that installs somebody else's package with pip


@pytest.fixture
def extended(installed, tmp_path) -> Iterator[Api]:
    """A dev server that finds that package beside our own."""
    port = free_port()
    server = RunningServer(
        "extended",
        dev_argv("broker", port),
        f"http://127.0.0.1:{port}",
        tmp_path,
        env={"PYTHONPATH": str(installed)},
    ).start()
    made = Api(server)
    yield made
    made.close()
    server.stop()


def test_the_catalog_lists_every_kind_with_versions(api):
    found = api.data("GET", "sys/plugins/catalog")
    assert {kind: found[kind] for kind in ("secret", "auth", "seal", "storage", "audit")} == {
        "secret": ["cubbyhole", "kv"],
        "auth": ["apikey", "approle", "cert", "jwt", "kubernetes", "ldap", "oidc", "token", "userpass"],
        "seal": ["shamir", "static"],
        "storage": ["inmem", "sqlite"],
        "audit": ["file"],
    }
    kinds = {(plugin["type"], plugin["name"]) for plugin in found["detailed"]}
    assert ("audit", "file") in kinds
    assert len(kinds) == len(found["detailed"])
    assert all(plugin["builtin"] and plugin["version"].startswith("v") for plugin in found["detailed"])


def test_one_kind_and_one_plugin_can_be_asked_for(api):
    assert api.data("LIST", "sys/plugins/catalog/secret") == {"keys": ["cubbyhole", "kv"]}
    kv = api.data("GET", "sys/plugins/catalog/secret/kv")
    assert (kv["name"], kv["builtin"], kv["package"]) == ("kv", True, "broker")
    assert api.ask("GET", "sys/plugins/catalog/secret/nothing").status == 404
    assert api.ask("GET", "sys/plugins/catalog/nonsense/kv").status == 400


@pytest.mark.parametrize("path", ["secret/evil", "../x", "secret/os", "secret/%2ftmp%2fx"])
def test_nothing_is_registered_over_the_api(api, path):
    body = {"sha256": "0" * 64, "command": "evil"}
    assert 400 <= api.ask("PUT", f"sys/plugins/catalog/{path}", body).status < 500
    assert "evil" not in api.data("GET", "sys/plugins/catalog")["secret"]


def test_a_plugin_from_somebody_elses_package_shows_up_and_works(extended):
    found = extended.data("GET", "sys/plugins/catalog/secret/sequence")
    assert (found["builtin"], found["package"], found["version"]) == (False, "broker-sequence", "v1.0.0")
    assert "sequence" in extended.data("GET", "sys/plugins/catalog")["secret"]
    extended.done("PUT", "sys/mounts/numbers", {"type": "sequence"})
    assert extended.data("PUT", "numbers/next/invoice", {"count": 3}) == {"first": 1, "last": 3}
    assert extended.data("GET", "numbers/next/invoice") == {"last": 3}
    assert "/numbers/next/{name}" in extended.ask("GET", "sys/internal/specs/openapi").body["paths"]
    assert "The numbers of one sequence." in extended.ask("GET", "numbers/next/x?help=1").body["help"]
