"""``sys/policies/password`` on a real server."""

from __future__ import annotations

import base64

from tests.core.system.conftest import Api

POLICY = 'length = 12\nrule "charset" {\n  charset = "abc"\n  min-chars = 2\n}'


def test_a_policy_is_kept_as_written_and_passwords_follow_it(api: Api):
    api.done("PUT", "sys/policies/password/db/app", {"policy": POLICY})
    assert api.data("GET", "sys/policies/password/db/app") == {"policy": POLICY}
    made = {api.data("GET", "sys/policies/password/db/app/generate")["password"] for _ in range(20)}
    assert len(made) > 15
    assert all(len(password) == 12 and set(password) <= set("abc") for password in made)
    assert "db/app" in api.data("LIST", "sys/policies/password")["keys"]
    api.done("DELETE", "sys/policies/password/db/app")
    assert api.ask("GET", "sys/policies/password/db/app").status == 404
    assert api.ask("GET", "sys/policies/password/db/app/generate").status == 404


def test_base64_is_taken_for_what_it_holds(api: Api):
    api.done("PUT", "sys/policies/password/b64", {"policy": base64.b64encode(POLICY.encode()).decode()})
    assert api.data("GET", "sys/policies/password/b64") == {"policy": POLICY}


def test_a_refused_policy_leaves_the_one_before(api: Api):
    api.done("PUT", "sys/policies/password/kept", {"policy": POLICY})
    assert api.ask("PUT", "sys/policies/password/kept", {"policy": "length = 1"}).status == 400
    assert api.data("GET", "sys/policies/password/kept") == {"policy": POLICY}


def test_a_namespace_has_policies_of_its_own(api: Api):
    api.done("PUT", "sys/namespaces/pwns", {})
    api.done("PUT", "sys/policies/password/mine", {"policy": POLICY}, namespace="pwns")
    assert api.ask("GET", "sys/policies/password/mine").status == 404
    assert api.data("LIST", "sys/policies/password", namespace="pwns")["keys"] == ["mine"]
    api.done("DELETE", "sys/namespaces/pwns")


def test_generating_needs_reading_that_very_path(api: Api):
    api.done("PUT", "sys/policies/password/secretive", {"policy": POLICY})
    token = api.token_with('path "sys/policies/password/secretive" { capabilities = ["read"] }')
    assert api.ask("GET", "sys/policies/password/secretive", token=token).status == 200
    assert api.ask("GET", "sys/policies/password/secretive/generate", token=token).status == 403
