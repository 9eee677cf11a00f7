"""The OpenAPI document: valid, complete, and of what the caller reaches."""

from __future__ import annotations

import json

import msgspec
import pytest
from jsonschema.exceptions import ValidationError
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from broker.core.openapi import Described, document
from broker.plugin import Nothing, Operation, Path
from broker.plugin.verbs import Verb
from contrib.apidoc import FOLDER, stale, tables
from tests.peer.client import Client

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


def test_every_verb_of_every_row_is_in_the_document_unless_hidden():
    paths = json.loads((FOLDER / "openapi.json").read_text())["paths"]
    for table in tables():
        for row in table.paths:
            offered = {verb: each for verb, each in row.operations.items() if not each.hidden}
            item = paths.get("/" + table.prefix + row.template.replace(":path}", "}"), {})
            assert {METHODS[verb] for verb in offered} == item.keys() & set(METHODS.values())
            assert item.get("x-vault-sudo", False) == any(each.sudo for each in offered.values())


def test_what_only_says_what_to_ask_instead_is_in_no_document_or_help(api, served):
    assert (
        served["paths"].keys() & {"/secret/data", "/secret/{path}", "/sys/internal/counters/requests"}
        == set()
    )
    assert served["paths"]["/secret/metadata"].keys() & set(METHODS.values()) == {"get"}
    queries = [each["name"] for each in served["paths"]["/secret/config"]["get"].get("parameters", ())]
    assert queries == []
    text = api.ask("GET", "secret?help=1").body["help"]
    assert "data/{path:path}" in text and "Nothing is here" not in text


def test_no_operation_of_a_versioned_mount_is_refused_for_being_none(api, served):
    """Every operation that the document has below ``secret/`` leads somewhere, whatever it then answers."""
    api.done("POST", "secret/data/openapi", {"data": {"k": "v"}})
    for template, item in served["paths"].items():
        for method in item.keys() & set(METHODS.values()) if template.startswith("/secret/") else ():
            path = template.removeprefix("/").replace("{path}", "openapi")
            query = {each["name"] for each in item[method].get("parameters", ()) if each["in"] == "query"}
            reply = api.ask(method.upper(), path + ("?list=true" if "list" in query else ""), {"data": {}})
            assert reply.status != 405, (method, path)
            assert "Invalid path" not in str(reply.body) and "Non-listing" not in str(reply.body), (
                method,
                path,
            )
    api.done("DELETE", "secret/metadata/openapi")


@pytest.mark.parametrize(
    ("method", "path", "template", "body"),
    [
        ("GET", "sys/mounts", "/sys/mounts", None),
        ("GET", "sys/health", "/sys/health", None),
        ("GET", "secret/config", "/secret/config", None),
        ("POST", "auth/token/create", "/auth/token/create", {"ttl": "1m", "meta": {"a": "b"}}),
        (
            "POST",
            "auth/token/create",
            "/auth/token/create",
            {"type": "batch", "ttl": "1m", "policies": ["default"]},
        ),
        ("GET", "auth/token/lookup-self", "/auth/token/lookup-self", None),
        ("POST", "sys/tools/hash", "/sys/tools/hash", {"input": "YQ=="}),
    ],
)
def test_answers_are_what_the_document_says(api, served, method, path, template, body):
    answer = served["paths"][template][method.lower()]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"] | {"components": served["components"]}
    reply = api.ask(method, path, body)
    assert reply.status == 200
    OAS30Validator(schema).validate(reply.body)
    with pytest.raises(ValidationError):
        OAS30Validator(schema).validate("text")


def test_the_shared_schemas_name_every_field_of_the_envelope_and_of_a_login(api, served):
    schemas = served["components"]["schemas"]
    login = api.ask("POST", "auth/token/create", {"ttl": "1m"}).body
    assert login.keys() == schemas["Envelope"]["properties"].keys()
    assert login["auth"].keys() | {"identity_policies"} == schemas["Auth"]["properties"].keys()
    headers = {"X-Vault-Token": "root", "X-Vault-Wrap-TTL": "60"}
    client = Client(api.server.address)
    wrapped = client.send("POST", "/v1/auth/token/create", headers, b"{}").body["wrap_info"]
    client.close()
    assert wrapped.keys() == schemas["WrapInfo"]["properties"].keys()


def test_every_answer_with_a_body_has_a_schema(served):
    for path, item in served["paths"].items():
        for method in item.keys() & set(METHODS.values()):
            responses = item[method]["responses"]
            assert responses, (method, path)
            if "200" in responses:
                assert responses["200"]["content"], (method, path)


class Ticket(msgspec.Struct):
    """What a plugin may declare that it returns."""

    number: int
    holder: str


async def issue(engine: object, ctx: object, args: Nothing) -> Ticket | None:
    """Return a ticket, or nothing."""


def test_the_fields_of_what_an_operation_declares_are_told():
    row = Path("ticket", "A ticket.", read=Operation(Nothing, Ticket, calls=issue))
    made = document([Described("x/", "secrets", (row,))])
    validate(made)
    answers = made["paths"]["/x/ticket"]["get"]["responses"]
    assert answers.keys() == {"200", "204"}
    data = answers["200"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]["data"]
    assert data["properties"] == {"number": {"type": "integer"}, "holder": {"type": "string"}}


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
