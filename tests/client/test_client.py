"""What the client sends, and what it makes of the answers."""

import json

import pytest

from broker.client import ApiError, Client, KvMount, RedirectRefused, Reply, Tls, Unreachable, find_mount
from broker.plugin.errors import ConfigError, InvalidRequest
from broker.plugin.secret import Secret

TOKEN = "hvs.canary4f1d"


@pytest.fixture
def client(server):
    with Client(server.address, Secret(TOKEN), "team/a") as client:
        yield client


def test_each_verb_is_the_request_that_servers_know(server, client):
    for line in (
        "GET /v1/a/b",
        "GET /v1/a?list=true",
        "GET /v1/a?scan=true",
        "PUT /v1/a/b",
        "DELETE /v1/a/b",
    ):
        server.answers[line] = (200, {"data": {"keys": ["x"]}}, {})
    server.answers["PATCH /v1/a/b"] = (204, None, {})
    assert client.read("a/b").data == {"keys": ["x"]}
    assert client.list("a").keys == client.scan("a").keys == ["x"]
    client.write("a/b", {"k": "v"})
    assert client.patch("a/b", {"k": None}).body == {}
    client.delete("a/b")
    method, _, headers, body = server.asked[4]
    assert (method, headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
    assert json.loads(body) == {"k": None}
    assert server.asked[3][2]["Content-Type"] == "application/json"
    for _, _, headers, _ in server.asked:
        assert headers["X-Vault-Token"] == TOKEN
        assert headers["X-Vault-Namespace"] == "team/a"
        assert headers["X-Vault-Request"] == "true"
        assert "Authorization" not in headers


def test_credentials_in_netrc_are_not_sent(server, client, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.read("a")
    assert "Authorization" not in server.asked[0][2]


def test_what_is_not_there_is_none_but_a_deleted_version_is_an_answer(server, client):
    assert client.read("nothing") is None
    assert client.list("nothing") is None
    server.answers["GET /v1/gone"] = (404, {"request_id": "x", "data": {"metadata": {"version": 3}}}, {})
    gone = client.read("gone")
    assert (gone.status, gone.data) == (404, {"metadata": {"version": 3}})


def test_a_refusal_is_an_api_error_with_status_and_sentences(server, client):
    server.answers["GET /v1/a"] = (403, {"errors": ["permission denied"]}, {})
    with pytest.raises(ApiError) as caught:
        client.read("a")
    assert (caught.value.status, caught.value.errors) == (403, ("permission denied",))
    assert str(caught.value).endswith("Code: 403. Errors:\n\n* permission denied")
    assert TOKEN not in repr(caught.value)


def test_an_answer_that_is_not_json_is_shown_shortened(server, client):
    server.answers["GET /v1/a"] = (502, b"<html>" + b"x" * 10_000, {})
    with pytest.raises(ApiError, match="Raw Message") as caught:
        client.read("a")
    assert len(str(caught.value)) < 700


def test_statuses_can_be_accepted(server, client):
    server.answers["GET /v1/sys/health"] = (503, {"sealed": True}, {})
    assert client.request("GET", "sys/health", accept={503}).body == {"sealed": True}


def test_the_token_never_follows_a_redirect_to_another_host(server, other, client):
    server.answers["GET /v1/a"] = (307, None, {"Location": f"{other.address}/v1/a"})
    with pytest.raises(RedirectRefused) as caught:
        client.read("a")
    assert other.asked == []
    assert other.address in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_redirect_on_the_same_host_is_followed_once(server, client):
    server.answers["GET /v1/a"] = (307, None, {"Location": "/v1/b"})
    server.answers["GET /v1/b"] = (200, {"data": {"x": 1}}, {})
    assert client.read("a").data == {"x": 1}
    server.answers["GET /v1/b"] = (307, None, {"Location": "/v1/a"})
    with pytest.raises(RedirectRefused):
        client.read("a")


def test_a_redirect_that_would_turn_a_write_into_a_read_is_refused(server, client):
    server.answers["PUT /v1/a"] = (302, None, {"Location": "/v1/b"})
    with pytest.raises(RedirectRefused):
        client.write("a", {"x": 1})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("a b", "/v1/a%20b"),
        ("a?b#c", "/v1/a%3Fb%23c"),
        ("ü", "/v1/%C3%BC"),
        ("a%2Fb", "/v1/a%252Fb"),
        ("/a/b/", "/v1/a/b/"),
    ],
)
def test_a_path_arrives_as_written(server, client, path, sent):
    client.read(path)
    assert server.asked[0][1] == sent


@pytest.mark.parametrize("path", ["../x", "a/../b", "a/.", "./a"])
def test_a_path_that_would_be_rewritten_on_the_way_is_refused(server, client, path):
    with pytest.raises(InvalidRequest):
        client.read(path)
    assert server.asked == []


@pytest.mark.parametrize("token", ["line\nbreak", "blank space", "nul\0", "ümlaut"])
def test_a_token_that_cannot_be_a_header_is_refused_without_repeating_it(server, token):
    with Client(server.address, Secret(token)) as client, pytest.raises(InvalidRequest) as caught:
        client.read("a")
    assert token not in str(caught.value)
    assert server.asked == []


def test_nothing_that_is_printed_shows_the_token_or_a_secret(server, client):
    server.answers["GET /v1/a"] = (200, {"data": {"password": "canary-value"}}, {})
    assert TOKEN not in repr(client)
    assert "canary-value" not in repr(client.read("a"))
    assert isinstance(client.read("a"), Reply)


def test_nobody_answering_is_unreachable_and_names_only_the_address():
    with Client("http://127.0.0.1:1", Secret(TOKEN)) as client, pytest.raises(Unreachable) as caught:
        client.read("secret/path")
    assert "http://127.0.0.1:1" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_unix_socket_is_an_address(unix_server, tmp_path):
    unix_server.answers["GET /v1/a"] = (200, {"data": {"x": 1}}, {})
    with Client(f"unix://{tmp_path}/socket", Secret(TOKEN)) as client:
        assert client.read("a").data == {"x": 1}
        assert client.read("b") is None
    assert unix_server.asked[0][2]["X-Vault-Token"] == TOKEN


def test_a_unix_socket_nobody_listens_on_is_unreachable(tmp_path):
    with Client(f"unix://{tmp_path}/none") as client, pytest.raises(Unreachable):
        client.read("a")


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8200", "ftp://host", "https://user:pw@host", "http://", "https://h?q=1"]
)
def test_an_address_that_is_none_is_a_config_error_that_shows_no_password(address):
    with pytest.raises(ConfigError) as caught:
        Client(address)
    assert "pw" not in str(caught.value)


def test_a_missing_ca_or_half_an_identity_is_a_config_error(tmp_path):
    for tls in (
        Tls(ca_cert=str(tmp_path / "none.pem")),
        Tls(client_cert="cert.pem"),
        Tls(client_key="key.pem"),
    ):
        with pytest.raises(ConfigError):
            Client("https://127.0.0.1:1", tls=tls)


def test_wrapping_is_asked_for_and_rests_for_preliminary_questions(server):
    server.answers["GET /v1/sys/internal/ui/mounts/s/a"] = (
        200,
        {"data": {"path": "s/", "options": {"version": "2"}}},
        {},
    )
    server.answers["GET /v1/s/data/a"] = (200, {"wrap_info": {"token": "t"}}, {})
    with Client(server.address, wrap_ttl="60s") as client:
        mount = find_mount(client, "s/a")
        assert client.read(mount.join("data", "s/a")).wrap_info == {"token": "t"}
    assert "X-Vault-Wrap-TTL" not in server.asked[0][2]
    assert server.asked[1][2]["X-Vault-Wrap-TTL"] == "60s"


@pytest.mark.parametrize(
    ("mount", "path", "joined"),
    [
        (KvMount("secret/", 2), "secret/a/b", "secret/data/a/b"),
        (KvMount("secret/", 2), "secret", "secret/data"),
        (KvMount("secret/", 2), "secret/", "secret/data"),
        (KvMount("kv/", 1), "kv/a", "kv/a"),
        (KvMount("a/b/", 2), "a/b/c", "a/b/data/c"),
        (KvMount("ns/secret/", 2), "secret/x", "ns/secret/data/x"),
        (KvMount("", 1), "anything/x", "anything/x"),
    ],
)
def test_kv_paths_get_their_kind_after_the_mount(mount, path, joined):
    assert mount.join("data", path) == joined


def test_servers_without_the_preflight_hold_version_1(server, client):
    assert find_mount(client, "secret/a") == KvMount("", 1)
    server.answers["GET /v1/sys/internal/ui/mounts/x"] = (403, {"errors": ["preflight capability check"]}, {})
    with pytest.raises(ApiError):
        find_mount(client, "x")
