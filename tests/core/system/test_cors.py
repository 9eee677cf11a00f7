"""Stored CORS rules and headers of the UI act in every worker at once, and only while the node is unsealed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.system.conftest import Api
from tests.peer.client import Client, Reply

PAGE = "https://page.example"


def ask(api: Api, method: str, path: str, origin: str = PAGE, **headers: str) -> list[Reply]:
    """The same request on a dozen connections, which the workers share."""
    clients = [Client(api.server.address) for _ in range(12)]
    given = {"X-Vault-Token": api.token, "Origin": origin, **headers}
    replies = [client.send(method, path, given, None) for client in clients]
    for client in clients:
        client.close()
    return replies


def test_what_is_stored_acts_in_every_worker_and_ends_in_every_worker(node: Callable[..., Api]):
    api = node(workers=3)
    assert {"access-control-allow-origin" in one.headers for one in ask(api, "GET", "/v1/sys/mounts")} == {
        False
    }
    api.done("POST", "sys/config/cors", {"allowed_origins": [PAGE], "allowed_headers": ["X-Own"]})
    assert {one.headers["access-control-allow-origin"] for one in ask(api, "GET", "/v1/sys/mounts")} == {PAGE}
    preflights = ask(api, "OPTIONS", "/v1/sys/mounts", **{"Access-Control-Request-Method": "PUT"})
    assert {one.status for one in preflights} == {200}
    assert all(one.headers["access-control-allow-headers"].endswith(",X-Own") for one in preflights)
    refused = ask(api, "GET", "/v1/sys/mounts", f"{PAGE}.evil.example")
    assert {(one.status, one.body["errors"][0]) for one in refused} == {(403, "origin not allowed")}
    api.done("DELETE", "sys/config/cors")
    assert {one.status for one in ask(api, "GET", "/v1/sys/mounts", "https://other.example")} == {200}


def test_a_refused_page_changes_nothing(node: Callable[..., Api]):
    api = node()
    api.done("POST", "sys/config/cors", {"allowed_origins": [PAGE]})
    assert {one.status for one in ask(api, "DELETE", "/v1/sys/config/cors", "https://evil.example")} == {403}
    assert api.data("GET", "sys/config/cors")["enabled"] is True


def test_a_sealed_node_knows_no_rules_and_still_says_so(node: Callable[..., Api]):
    api = node()
    api.done("POST", "sys/config/cors", {"allowed_origins": [PAGE]})
    api.done("PUT", "sys/seal")
    assert {one.status for one in ask(api, "GET", "/v1/sys/health")} == {503}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"allowed_origins": []},
        {"allowed_origins": ["*", PAGE]},
        {"allowed_origins": ["a b"]},
        {"allowed_origins": ["https://a\r\nb"]},
        {"allowed_origins": [PAGE], "allowed_headers": ["X Y"]},
        {"allowed_origins": [PAGE], "allowed_headers": ["X:\r\nSet-Cookie"]},
        {"allowed_origins": [PAGE], "allow_credentials": True},
    ],
)
def test_rules_that_mean_nothing_or_too_much_are_refused(api: Api, body: object):
    assert api.ask("POST", "sys/config/cors", body).status == 400
    assert api.data("GET", "sys/config/cors") == {"enabled": False}


def test_pages_of_the_ui_carry_what_is_stored_and_the_api_does_not(node: Callable[..., Api]):
    api = node(workers=3)
    api.done("POST", "sys/config/ui/headers/X-Own", {"values": ["one"]})
    assert {one.headers.get("x-own") for one in ask(api, "GET", "/ui/")} == {"one"}
    assert {one.headers.get("x-own") for one in ask(api, "GET", "/v1/sys/mounts")} == {None}
    api.done("DELETE", "sys/config/ui/headers/X-Own")
    assert {one.headers.get("x-own") for one in ask(api, "GET", "/ui/")} == {None}
