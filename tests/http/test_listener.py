"""A listener's rules: found by the connection's own settings, worked out once, silent where nothing is configured."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from broker.http.app import create_edge
from broker.http.headers import ResponseHeaders
from broker.http.listener import CEREMONIES, ListenerRules, RuleBook
from broker.plugin.errors import ConfigError
from broker.plugin.messages import Response
from broker.server.settings import ListenerConfig, ServerConfig

PLAIN = ListenerConfig(tls_disable=True)
SMALL = ListenerConfig(tls_disable=True, address="127.0.0.1:1", max_request_size=10)


def book(*listeners, **settings):
    return RuleBook.of(ServerConfig(listeners=listeners, **settings))


def test_each_listener_has_its_own_rules():
    made = book(PLAIN, SMALL)
    assert made.find({"broker.listener": SMALL}).max_body == 10
    assert made.find({"broker.listener": PLAIN}).max_body == 32 * 1024 * 1024


def test_an_equal_copy_of_the_settings_finds_the_same_rules():
    made = book(PLAIN, SMALL)
    copy = dataclasses.replace(SMALL)
    assert made.find({"broker.listener": copy}) is made.find({"broker.listener": SMALL})
    assert made.find({"broker.listener": copy}) is made.find({"broker.listener": copy})


def test_a_request_of_no_listener_meets_the_defaults():
    assert book(SMALL).find({}).max_body == 32 * 1024 * 1024


def test_an_unconfigured_listener_has_nothing_to_do():
    rules = ListenerRules(PLAIN)
    assert (rules.gated, rules.added, rules.redacted, rules.closed) == (False, None, (), ())


def test_zero_means_the_default():
    zero = ListenerConfig(max_request_size=0, max_request_json_strings=0, max_request_json_memory=0)
    rules, default = ListenerRules(zero), ListenerRules(ListenerConfig())
    assert (rules.max_body, rules.json) == (default.max_body, default.json)


@pytest.mark.parametrize(("own", "seconds"), [(timedelta(0), 7), (timedelta(seconds=3), 3)])
def test_a_listeners_duration_goes_before_the_servers(own, seconds):
    listener = dataclasses.replace(PLAIN, max_request_duration=own)
    made = book(listener, default_max_request_duration=timedelta(seconds=7))
    assert made.find({"broker.listener": listener}).lateness.seconds == seconds


def test_only_tls_listeners_ask_browsers_to_stay_with_tls():
    secure = ListenerConfig(tls_cert_file=Path("cert.pem"), tls_key_file=Path("key.pem"))
    added = ListenerRules(secure).added
    assert added is not None
    assert dict(added(200)) == {b"strict-transport-security": b"max-age=31536000; includeSubDomains"}
    own = {"default": {"Strict-Transport-Security": ["max-age=60"]}}
    added = ListenerRules(dataclasses.replace(secure, custom_response_headers=own)).added
    assert added is not None
    assert dict(added(404)) == {b"strict-transport-security": b"max-age=60"}


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "X-Vault-Any", "Date", "Connection"])
def test_the_servers_own_headers_cannot_be_configured(name):
    assert ResponseHeaders(custom={"default": {name: ["1"]}}).of(200) == ()


@pytest.mark.parametrize(
    "custom",
    [
        {"default": "x"},
        {"6xx": {}},
        {"200": {"": ["a"]}},
        {"200": {"A": 1}},
        {"200": {"A": ["\n"]}},
        {"2xx": {"A:": []}},
    ],
)
def test_headers_that_cannot_be_sent_are_refused(custom):
    with pytest.raises(ConfigError):
        ResponseHeaders(custom=custom)


@pytest.mark.parametrize(
    "path", ["sys/init", "sys/rekey/init", "sys/rekey-recovery-key/update", "a/b/sys/rotate"]
)
def test_ceremonies_are_known_by_their_path(path):
    assert CEREMONIES.search(path)


@pytest.mark.parametrize(
    "path", ["sys/mounts/init", "sys/seal-status", "mysys/init", "sys/initial", "sys/policies/acl/seal"]
)
def test_other_paths_are_no_ceremonies(path):
    assert not CEREMONIES.search(path)


@pytest.mark.parametrize(
    "name",
    [
        "X-Tls-Client-Cert",
        "X-Forwarded-Tls-Client-Cert",
        "X-Ssl-Cert",
        "Client-Cert",
        "X-Client-Cert",
        "X-Amzn-Mtls-Clientcert",
    ],
)
async def test_no_header_stands_for_a_client_certificate(name):
    seen = []

    async def handle(request):
        seen.append(request.connection)
        return Response(data={})

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    trusting = dataclasses.replace(PLAIN, x_forwarded_for_authorized_addrs=("127.0.0.1",))
    headers = [
        (name.lower().encode(), b"MIIB"),
        (b"x-forwarded-for", b"203.0.113.7"),
        (b"x-forwarded-proto", b"https"),
    ]
    scope = {"type": "http", "method": "GET", "raw_path": b"/v1/a", "query_string": b"", "headers": headers}
    await create_edge(handle, book(trusting))(
        {**scope, "client": ("127.0.0.1", 9), "broker.listener": trusting}, receive, send
    )
    assert [(c.remote_address, c.scheme, c.client_cert_chain) for c in seen] == [("203.0.113.7", "http", ())]


@pytest.mark.parametrize(("network", "kept"), [("127.0.0.1", True), ("10.0.0.0/8", False)])
async def test_a_header_that_is_not_believed_reaches_nobody(network, kept):
    seen = []

    async def handle(request):
        seen.append("x-forwarded-for" in request.headers)
        return Response(data={})

    async def send(message):
        pass

    listener = dataclasses.replace(
        PLAIN, x_forwarded_for_authorized_addrs=(network,), x_forwarded_for_reject_not_authorized=False
    )
    scope = {"type": "http", "method": "GET", "raw_path": b"/v1/a", "query_string": b""}
    scope |= {"headers": [(b"x-forwarded-for", b"203.0.113.7")], "client": ("127.0.0.1", 9)}
    await create_edge(handle, book(listener))({**scope, "broker.listener": listener}, None, send)
    assert seen == [kept]
