"""Explaining a decision tells nobody what they may not know."""

from __future__ import annotations

import pytest

EXPLAIN = "sys/policies/explain"


@pytest.fixture
def people(node, fresh):
    """Two ordinary tokens and an auditor's, all of whom may call explain; only the auditor with sudo."""
    node.kv(fresh)
    node.ok("POST", f"{fresh}/data/hidden", {"data": {"password": "SeCrEtVaLuE"}})
    ask = f'path "{EXPLAIN}" {{ capabilities = ["update"] }}\n'
    lookup = 'path "auth/token/lookup-self" { capabilities = ["read"] }\n'
    node.policy(f"{fresh}-ann", ask + lookup + f'path "{fresh}/data/ann" {{ capabilities = ["read"] }}')
    node.policy(f"{fresh}-bob", ask + lookup + f'path "{fresh}/data/hidden" {{ capabilities = ["deny"] }}')
    node.policy(f"{fresh}-auditor", f'path "{EXPLAIN}" {{ capabilities = ["update", "sudo"] }}\n' + lookup)
    return {name: node.mint(f"{fresh}-{name}") for name in ("ann", "bob", "auditor")}


def refusal_of(node, mount: str, token: str, path: str = "data/hidden") -> str:
    """Provoke a 403 and return its request id, as the audit log has it."""
    reply = node.call("GET", f"{mount}/{path}", token=token)
    assert reply.status == 403 and reply.errors == ["1 error occurred:\n\t* permission denied\n\n"], reply
    marker = f'"path":"{mount}/{path}"'
    lines = [
        line
        for line in node.audit_log.read_text().splitlines()
        if marker in line and "permission denied" in line
    ]
    return lines[-1].partition('"request":{"id":"')[2][:36]


def test_a_caller_explains_its_own_decisions(node, fresh, people):
    found = node.ok(
        "POST", EXPLAIN, {"path": f"{fresh}/data/ann", "operation": "read"}, token=people["ann"]
    ).data
    assert found["allowed"] is True and found["policy"] == f"{fresh}-ann"
    found = node.ok(
        "POST", EXPLAIN, {"path": f"{fresh}/data/hidden", "operation": "read"}, token=people["bob"]
    ).data
    assert found["allowed"] is False and found["policy"] == f"{fresh}-bob"


def test_without_sudo_anothers_token_is_like_one_that_does_not_exist(node, fresh, people):
    accessor = node.ok("GET", "auth/token/lookup-self", token=people["bob"]).data["accessor"]
    for known, unknown in (
        ({"token": people["bob"]}, {"token": "hvs." + "A" * 24}),
        ({"accessor": accessor}, {"accessor": "A" * 24}),
        ({"policies": [f"{fresh}-bob"]}, {"policies": [f"{fresh}-nobody"]}),
    ):
        replies = [
            node.call("POST", EXPLAIN, {**asked, "path": f"{fresh}/data/hidden"}, token=people["ann"])
            for asked in (known, unknown)
        ]
        assert [reply.status for reply in replies] == [403, 403]
        assert replies[0].raw == replies[1].raw


def test_with_sudo_others_are_explained(node, fresh, people):
    asked = {"token": people["bob"], "path": f"{fresh}/data/hidden"}
    found = node.ok("POST", EXPLAIN, asked, token=people["auditor"]).data
    assert found["allowed"] is False and found["policy"] == f"{fresh}-bob"


def test_a_refusal_is_explained_to_whom_it_happened_and_to_sudo_only(node, fresh, people):
    request = refusal_of(node, fresh, people["bob"])
    for line in node.spread():  # whatever worker refused, and whatever worker is asked
        own = line.ok("POST", EXPLAIN, {"request_id": request}, token=people["bob"]).data
        assert own["path"] == f"{fresh}/data/hidden" and own["allowed"] is False
        line.close()
    node.ok("POST", EXPLAIN, {"request_id": request}, token=people["auditor"])
    unknown = "00000000-0000-4000-a000-000000000000"
    replies = [
        node.call("POST", EXPLAIN, {"request_id": asked}, token=people["ann"]) for asked in (request, unknown)
    ]
    assert [reply.status for reply in replies] == [404, 404]
    assert replies[0].raw == replies[1].raw


def test_an_explanation_shows_no_value_and_no_rule_of_others(node, fresh, people):
    node.policy(
        f"{fresh}-other",
        f'path "{fresh}/data/hidden" {{ capabilities = ["read"] allowed_parameters = {{ "p" = ["OtHeRs"] }} }}',
    )
    for operation in ("read", "update", "delete", "list"):
        for who in ("ann", "bob"):
            asked = {"path": f"{fresh}/data/hidden", "operation": operation, "parameters": {"p": "GiVeN"}}
            reply = node.ok("POST", EXPLAIN, asked, token=people[who])
            for text in (b"SeCrEtVaLuE", b"OtHeRs", b"GiVeN", f"{fresh}-other".encode()):
                assert text not in reply.raw


def test_a_path_that_exists_and_one_that_does_not_are_explained_alike(node, fresh, people):
    replies = []
    for name in ("hidden", "absent"):
        asked = {"path": f"{fresh}/data/{name}", "operation": "read"}
        replies.append(node.ok("POST", EXPLAIN, asked, token=people["ann"]).data)
    told = [
        str(sorted(found.items())).replace("hidden", "NAME").replace("absent", "NAME") for found in replies
    ]
    assert told[0] == told[1]


def test_refusals_in_one_tenant_are_not_explained_to_sudo_in_another(node, fresh, people):
    refused = refusal_of(node, fresh, people["bob"])
    node.ok("PUT", f"sys/namespaces/{fresh}-ns")
    node.policy("all", 'path "*" { capabilities = ["update", "sudo"] }', namespace=f"{fresh}-ns")
    stranger = node.mint("all", namespace=f"{fresh}-ns")
    reply = node.call("POST", EXPLAIN, {"request_id": refused}, token=stranger, namespace=f"{fresh}-ns")
    assert reply.status == 404


def test_capabilities_of_others_need_the_right_to_ask(node, fresh, people):
    accessor = node.ok("GET", "auth/token/lookup-self", token=people["bob"]).data["accessor"]
    for path, body in (
        ("sys/capabilities", {"token": people["bob"]}),
        ("sys/capabilities-accessor", {"accessor": accessor}),
        ("auth/token/lookup", {"token": people["bob"]}),
        ("auth/token/lookup-accessor", {"accessor": accessor}),
    ):
        assert node.call("POST", path, {**body, "paths": ["a"]}, token=people["ann"]).status == 403
