"""Every path describes itself to whoever has a token, in the shape that ``path-help`` reads."""

from __future__ import annotations

import subprocess

import pytest
from openapi_spec_validator import validate

from tests.core.system.conftest import Api
from tests.core.test_unauthenticated_surface import ROWS
from tests.fixtures.servers import BIN, clean_environment


@pytest.fixture
def api(broker_dev):
    made = Api(broker_dev)
    yield made
    made.close()


def test_help_has_the_fields_that_clients_read(api):
    body = api.ask("GET", "secret/data/x?help=1").body
    assert set(body) == {"help", "openapi", "see_also"}
    assert body["help"].startswith("Request:        data/x\nMatching Route: data/{path:path}\n\n")
    assert "## PARAMETERS" in body["help"] and "    version (int)" in body["help"]
    assert list(body["openapi"]["paths"]) == ["/data/{path}"]
    validate(body["openapi"])


def test_every_built_in_path_has_help(api):
    for prefix, row in ROWS:
        if prefix not in ("sys/", "cubbyhole/", "auth/token/"):
            continue
        path = prefix + row.template.replace("{", "").replace(":path}", "").replace("}", "")
        reply = api.ask("GET", f"{path}?help=1")
        assert reply.status == 200 and row.summary in reply.body["help"], path


@pytest.mark.parametrize("path", ["secret", "secret/", "sys", "auth/token", "cubbyhole"])
def test_the_help_of_a_mount_lists_its_paths(api, path):
    text = api.ask("GET", f"{path}?help=1").body["help"]
    assert text.startswith("## DESCRIPTION\n\n")
    assert "## PATHS" in text


def test_help_needs_a_token_but_no_policy(api):
    token = api.token_with('path "secret/nothing" { capabilities = ["read"] }')
    assert api.ask("GET", "sys/audit/x?help=1", token=token).status == 200
    assert api.ask("GET", "sys/audit/x?help=1", token="").status == 403
    assert api.ask("GET", "sys/audit/x?help=1", token="hvs.wrong").status == 403


def test_help_runs_nothing(api):
    before = api.data("GET", "sys/mounts").keys()
    assert "Seal the node." in api.ask("GET", "sys/seal?help=1").body["help"]
    assert api.ask("GET", "sys/seal-status", token="").body["sealed"] is False
    assert api.data("GET", "sys/mounts").keys() == before


def test_what_is_not_there_has_no_help(api):
    assert api.ask("GET", "nothing/here?help=1").status == 404
    assert api.ask("GET", "sys/nothing?help=1").status == 404


@pytest.mark.parametrize("command", ["bao", "broker"])
@pytest.mark.parametrize("path", ["secret/data/x", "sys/mounts", "secret"])
def test_path_help_prints_it(api, command, path):
    environment = clean_environment(
        VAULT_ADDR=api.server.address,
        BAO_ADDR=api.server.address,
        BROKER_ADDR=api.server.address,
        VAULT_TOKEN="root",
        BAO_TOKEN="root",
        BROKER_TOKEN="root",
        HOME=str(api.server.folder),
    )
    done = subprocess.run(
        [BIN / command, "path-help", path], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == api.ask("GET", f"{path}?help=1").body["help"].strip()
