"""Where a listener listens, and how its clients are named."""

import socket

import pytest

from broker.server.dev import dev_config
from broker.server.scope import connection_scope
from broker.server.settings import ListenerConfig, ServerConfig
from broker.server.sockets import bind_all
from broker.server.summary import Summary

V4, V6 = "127.0.0.1", "::1"


def reachable(host):
    """Whether this machine has the address at all."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


@pytest.fixture
def listen():
    bound = []

    def start(address):
        bound.extend(bind_all([ListenerConfig(address=address, tls_disable=True)]))
        return bound[-1]

    yield start
    for listener in bound:
        listener.close()


class Transport:
    """A connection, as far as its scope looks at it."""

    def __init__(self, peer):
        self.peer = peer

    def get_extra_info(self, name):
        return self.peer if name == "peername" else None


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_no_host_is_every_address_of_both_families(listen, address):
    listener = listen(address)
    port = listener.getsockname()[1]
    hosts = [host for host in (V4, V6) if reachable(host)]
    assert hosts
    for host in hosts:
        with socket.create_connection((host, port), timeout=10):
            listener.sock.setblocking(True)
            accepted, peer = listener.sock.accept()
            accepted.close()
        assert connection_scope(Transport(peer), listener.config)["client"][0] == host


def test_a_host_is_that_address_only(listen):
    listener = listen(f"{V4}:0")
    assert listener.sock.family == socket.AF_INET
    assert connection_scope(Transport(None), listener.config)["client"] is None


def test_the_summary_says_how_long_requests_may_take(listen):
    config = dev_config(f"{V4}:0")
    assert config.listeners[0].max_request_duration == ServerConfig().default_max_request_duration
    listener = bind_all(config.listeners)[0]
    try:
        text = "\n".join(Summary(config).lines([listener]))
    finally:
        listener.close()
    assert 'max_request_duration: "90s"' in text
