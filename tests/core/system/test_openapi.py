"""The OpenAPI document: valid, complete, and of what the caller reaches."""

from __future__ import annotations

import json

import pytest
from openapi_spec_validator import validate

from broker.plugin.verbs import Verb
from contrib.apidoc import FOLDER, stale, tables

METHODS = {
    Verb.READ: "get",
    Verb.LIST: "get",
    Verb.SCAN: "get",
    Verb.CREATE: "post",
    Verb.UPDATE: "post",
    Verb.PATCH: "patch",
    Verb.DELETE: "delete",
}


@pytest.fixture
def served(api):
    return api.ask("GET", "sys/internal/specs/openapi").body


def test_the_servers_document_is_valid(api, served):
    validate(served)
    validate(api.ask("GET", "sys/internal/specs/openapi?generic_mount_paths=true").body)


def test_the_document_in_the_repository_is_valid_and_fresh():
    validate(json.loads((FOLDER / "openapi.json").read_text()))
    assert stale() == [], "run python -m contrib.apidoc"


def test_every_verb_of_every_row_is_in_the_document():
    paths = json.loads((FOLDER / "openapi.json").read_text())["paths"]
    for table in tables():
        for row in table.paths:
            item = paths["/" + table.prefix + row.template.replace(":path}", "}")]
            assert {METHODS[verb] for verb in row.operations} == item.keys() & set(METHODS.values())
            assert item.get("x-vault-sudo", False) == any(each.sudo for each in row.operations.values())


def test_mounts_stand_at_their_own_paths_with_the_marks_that_vaults_has(served):
    paths = served["paths"]
    data = paths["/secret/data/{path}"]
    assert data["x-vault-createSupported"] is True
    assert [parameter["name"] for parameter in data["parameters"]] == ["path"]
    body = data["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(served["components"]["schemas"][body]["properties"]) >= {"data", "options"}
    assert paths["/sys/audit/{path}"]["x-vault-sudo"] is True
    assert paths["/sys/health"]["x-vault-unauthenticated"] is True
    assert paths["/sys/health"]["get"]["security"] == []
    assert "x-vault-unauthenticated" not in paths["/sys/mounts"]
    listing = paths["/sys/policies/acl"]["get"]["parameters"][0]
    assert (listing["name"], listing["required"]) == ("list", True)
    assert paths["/sys/audit/{path}"]["delete"]["responses"].keys() == {"204"}


def test_bounds_choices_and_secrets_are_told():
    schemas = json.loads((FOLDER / "openapi.json").read_text())["components"]["schemas"]
    create = schemas["AuthTokenPostCreateRequest"]["properties"]
    assert create["display_name"]["maxLength"] == 256
    assert create["id"]["x-vault-displayAttrs"] == {"sensitive": True}
    assert create["lease"]["deprecated"] is True
    explain = schemas["SysPostPoliciesExplainRequest"]["properties"]
    assert "read" in explain["operation"]["enum"]


def test_a_caller_is_shown_the_mounts_it_reaches_and_needs_a_token(api):
    token = api.token_with('path "secret/data/a" { capabilities = ["read"] }')
    shown = api.ask("POST", "sys/internal/specs/openapi", {}, token=token).body
    assert shown["paths"]
    assert all(path.startswith("/secret/") for path in shown["paths"])
    assert api.ask("GET", "sys/internal/specs/openapi", token="").status == 403


def test_a_namespace_has_a_document_of_its_own(api):
    api.done("PUT", "sys/namespaces/docs-a")
    api.done("PUT", "sys/mounts/inner", {"type": "kv"}, namespace="docs-a")
    paths = api.ask("GET", "sys/internal/specs/openapi", namespace="docs-a").body["paths"]
    assert "/inner/{path}" in paths
    assert not any(path.startswith("/secret/") for path in paths)
    api.done("DELETE", "sys/namespaces/docs-a")


def test_generic_paths_name_the_mount_as_a_parameter(api):
    paths = api.ask("GET", "sys/internal/specs/openapi?generic_mount_paths=true").body["paths"]
    item = paths["/{secret_mount_path}/data/{path}"]
    assert [parameter["name"] for parameter in item["parameters"]] == ["secret_mount_path", "path"]
    assert "/sys/mounts" in paths
