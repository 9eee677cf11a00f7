"""The whole way, with a real provider, real command lines and a browser without a screen."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.core.system.conftest import Api
from tests.fixtures.issuer import IssuerServer, now, signed
from tests.fixtures.provider import BIN, Browser, begin, environment, running_provider, what_came
from tests.fixtures.servers import free_port

COMMANDS = {"bao": [str(BIN / "bao")], "broker": [sys.executable, "-m", "broker.cli.main"]}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with running_provider(tmp_path_factory.mktemp("provider")) as server:
        server.set_user("bob", email="bob@example.com", groups=["dev", "ops"])
        yield server


@pytest.fixture
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def api(broker_dev, provider):
    made = Api(broker_dev)
    made.ask("DELETE", "sys/auth/oidc")
    made.done("POST", "sys/auth/oidc", {"type": "oidc"})
    made.done(
        "POST",
        "auth/oidc/config",
        {
            "oidc_discovery_url": provider.address,
            "oidc_client_id": "broker",
            "oidc_client_secret": "client-secret-canary",
            "default_role": "web",
        },
    )
    made.done(
        "POST", "sys/policies/acl/oidc-dev", {"policy": 'path "secret/data/dev" { capabilities = ["read"] }'}
    )
    yield made
    made.done("DELETE", "sys/auth/oidc")
    made.close()


def set_role(api, **fields):
    given = {
        "user_claim": "sub",
        "allowed_redirect_uris": [
            "http://localhost:8250/oidc/callback",
            f"{api.server.address}/v1/auth/oidc/oidc/callback",
        ],
        "oidc_scopes": "email,profile",
        "claim_mappings": {"email": "mail"},
        "groups_claim": "groups",
        "token_policies": "oidc-dev",
        "token_ttl": "10m",
        **fields,
    }
    api.done("POST", "auth/oidc/role/web", given)


def log_in(tool, api, browser, tmp_path, *arguments, deny=False):
    """Type the login, go through the provider's pages; the exit code and both outputs."""
    words = [*COMMANDS[tool], "login", "-method=oidc", "-format=json", *arguments, "skip_browser=true"]
    process, url = begin(words, environment(tmp_path, api.server.address), tmp_path)
    try:
        page = browser.open(url, deny=deny)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        with process:  # closes its pipes and waits
            pass
    return process.returncode, out, err, page


@pytest.mark.parametrize("tool", COMMANDS)
def test_a_login_in_the_browser(api, browser, tmp_path, tool):
    set_role(api)
    code, out, err, page = log_in(tool, api, browser, tmp_path, "role=web", f"port={free_port()}")
    assert code == 0, out + err
    auth = json.loads(out)["auth"]
    assert auth["token_policies"] == ["default", "oidc-dev"]
    assert auth["metadata"] == {"mail": "bob@example.com", "role": "web"}
    assert auth["lease_duration"] == 600
    assert page.ok
    about = api.data("GET", "auth/token/lookup-self", token=auth["client_token"])
    assert about["path"] == "auth/oidc/oidc/callback"
    assert about["display_name"] == "oidc-bob"
    assert (tmp_path / ".vault-token").exists()
    assert auth["client_token"] not in page.text


@pytest.mark.parametrize("tool", COMMANDS)
def test_a_login_that_the_server_takes_itself(api, browser, tmp_path, tool):
    set_role(api, callback_mode="direct", poll_interval=1)
    code, out, err, page = log_in(tool, api, browser, tmp_path, "callbackmode=direct")
    assert code == 0, out + err
    assert json.loads(out)["auth"]["metadata"]["mail"] == "bob@example.com"
    assert "Signed in" in page.text
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert browser.visited.count("/v1/auth/oidc/oidc/callback") >= 2  # once to confirm


@pytest.mark.parametrize("tool", COMMANDS)
def test_a_user_who_says_no(api, browser, tmp_path, tool):
    set_role(api)
    code, out, _, page = log_in(tool, api, browser, tmp_path, f"port={free_port()}", deny=True)
    assert code == 2
    assert "token" not in out
    assert not (tmp_path / ".vault-token").exists()
    assert tool == "bao" or page.status_code == 400


@pytest.mark.parametrize("tool", COMMANDS)
def test_a_redirect_that_the_role_does_not_allow(api, tmp_path, tool):
    set_role(api, allowed_redirect_uris=["https://elsewhere.example/cb"])
    done = subprocess.run(
        [*COMMANDS[tool], "login", "-method=oidc", "role=web", f"port={free_port()}", "skip_browser=true"],
        env=environment(tmp_path, api.server.address),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert 'Unable to authorize role "web"' in done.stdout + done.stderr


def test_answers_to_another_login_are_not_heard(api, browser, tmp_path):
    set_role(api)
    port = free_port()
    words = [
        *COMMANDS["broker"],
        "login",
        "-method=oidc",
        "-format=json",
        f"port={port}",
        "skip_browser=true",
    ]
    process, url = begin(words, environment(tmp_path, api.server.address), tmp_path)
    try:
        for path in (
            "/oidc/callback?state=st_other&code=x",
            "/oidc/callback",
            "/",
            "/oidc/callback?code=x&state=%C3%A9",
        ):
            page = requests.get(f"http://localhost:{port}{path}", timeout=10)
            assert page.status_code in (400, 404)
        state = parse_qs(urlsplit(url).query)["state"][0]
        assert state.startswith("st_")
        browser.open(url)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert json.loads(out)["auth"]["client_token"]


def test_the_same_code_twice(api, browser):
    set_role(api)
    begun = api.data(
        "POST",
        "auth/oidc/oidc/auth_url",
        {"role": "web", "redirect_uri": "http://localhost:8250/oidc/callback", "client_nonce": "cn"},
        token="",
    )
    # Nobody listens at 8250: the code is read off the address that the browser cannot open.
    with pytest.raises(requests.ConnectionError) as caught:
        browser.open(begun["auth_url"])
    query = {name: values[0] for name, values in parse_qs(urlsplit(caught.value.request.url).query).items()}
    path = f"auth/oidc/oidc/callback?state={query['state']}&code={query['code']}&client_nonce=cn"
    first = api.ask("GET", path, token="")
    assert first.status == 200
    assert first.body["auth"]["client_token"]
    again = api.ask("GET", path, token="")
    assert (again.status, again.body["errors"]) == (
        400,
        ["Vault login failed. Expired or missing OAuth state."],
    )


def test_the_client_s_secret_and_the_code_are_nowhere_in_the_log(api, browser, tmp_path):
    set_role(api)
    log_in("broker", api, browser, tmp_path, f"port={free_port()}")
    shown = api.data("GET", "auth/oidc/config")
    assert "canary" not in json.dumps(shown)
    assert "client-secret-canary" not in api.server.log_path.read_text(errors="replace")


@pytest.mark.parametrize("tool", COMMANDS)
@pytest.mark.parametrize("kinds", ["code", "id_token"])
def test_an_answer_that_the_browser_posts(api, tmp_path, tool, kinds):
    server = IssuerServer()
    issuer = server.issuer
    config = {
        "oidc_discovery_url": issuer.url,
        "oidc_client_id": "broker",
        "oidc_client_secret": "s",
        "oidc_response_mode": "form_post",
        "oidc_response_types": kinds,
        "default_role": "web",
    }
    api.done("POST", "auth/oidc/config", config)
    set_role(api, groups_claim="")
    port = free_port()
    words = [*COMMANDS[tool], "login", "-method=oidc", "-format=json", f"port={port}", "skip_browser=true"]
    process, url = begin(words, environment(tmp_path, api.server.address), tmp_path)
    try:
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        told = signed(
            {
                "iss": issuer.url,
                "aud": "broker",
                "sub": "bob",
                "nonce": query["nonce"],
                "exp": now() + 60,
                "iat": now(),
            },
            kid="k1",
        )
        issuer.answers["/token"] = (200, {"id_token": told})
        form = {"state": query["state"], "session_state": "x"}
        form |= {"code": "c0de"} if kinds == "code" else {"id_token": told}
        page = requests.post(f"http://localhost:{port}/oidc/callback", data=form, timeout=20, stream=True)
        shown = what_came(page)
        page.close()
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        with process:  # closes its pipes and waits
            pass
        server.stop()
    assert process.returncode == 0, out + err + shown.decode()
    assert json.loads(out)["auth"]["metadata"] == {"role": "web"}


@pytest.mark.parametrize("tool", COMMANDS)
def test_a_login_on_another_device(api, tmp_path, tool):
    server = IssuerServer()
    issuer = server.issuer
    config = {"oidc_discovery_url": issuer.url, "oidc_client_id": "broker", "oidc_client_secret": "s"}
    api.done("POST", "auth/oidc/config", {**config, "default_role": "web"})
    set_role(api, groups_claim="", callback_mode="device", poll_interval=1)
    page = {"device_code": "dc", "user_code": "ABCD-EFGH", "verification_uri": f"{issuer.url}/device-page"}
    issuer.answers["/device"] = (200, page)
    issuer.answers["/token"] = (400, {"error": "authorization_pending"})
    words = [
        *COMMANDS[tool],
        "login",
        "-method=oidc",
        "-format=json",
        "callbackmode=device",
        "skip_browser=true",
    ]
    process, url = begin(words, environment(tmp_path, api.server.address), tmp_path)
    try:
        assert url == f"{issuer.url}/device-page"
        while "/token" not in issuer.hits:
            time.sleep(0.02)
        claims = {"iss": issuer.url, "aud": "broker", "sub": "bob", "exp": now() + 60, "iat": now()}
        issuer.answers["/token"] = (200, {"id_token": signed(claims, kid="k1"), "access_token": "at"})
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        server.stop()
    assert process.returncode == 0, out + err
    assert json.loads(out)["auth"]["metadata"] == {"role": "web"}
    assert "dc" not in out.split()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense=1",), 'unknown argument "nonsense"'),
        (("port=99999",), "port: expected a number"),
        (("port=http",), "port: expected a number"),
        (("callbackmode=direct",), "the role is not for callbackmode=direct"),
        (("role=nobody",), 'role "nobody" could not be found'),
    ],
)
def test_what_the_command_says_of_wrong_arguments(api, tmp_path, arguments, text):
    set_role(api)
    done = subprocess.run(
        [*COMMANDS["broker"], "login", "-method=oidc", *arguments, "skip_browser=true"],
        env=environment(tmp_path, api.server.address),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert text in done.stderr
    assert not (tmp_path / ".vault-token").exists()


def test_a_port_that_is_taken(api, tmp_path):
    set_role(api)
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMANDS["broker"], "login", "-method=oidc", f"port={port}", "skip_browser=true"],
            env=environment(tmp_path, api.server.address),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 2
    assert f"cannot listen at localhost:{port}" in done.stderr
