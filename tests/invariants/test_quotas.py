"""Invariant: a quota is one quota for all workers, exact however many call at once, and one tenant's is nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.invariants.node import Line, Node, together

RATE, COUNT = "sys/quotas/rate-limit", "sys/quotas/lease-count"
BODY = {"policies": ["default"], "no_default_policy": True, "ttl": "1h"}


@pytest.fixture
def many(node: Node) -> list[Line]:
    """Connections to every worker."""
    return node.spread()


@pytest.fixture
def cleared(node: Node) -> Iterator[None]:
    yield
    for kind in (RATE, COUNT):
        listed = node.call("LIST", kind)
        for name in listed.data["keys"] if listed.status == 200 else ():
            node.ok("DELETE", f"{kind}/{name}")


def test_all_workers_count_calls_as_one(node, fresh, many, cleared):
    path = node.kv(fresh, version=1)
    node.ok("PUT", f"{path}/a", {"x": "1"})
    node.ok("POST", f"{RATE}/{fresh}", {"path": f"{path}/", "rate": 100, "interval": "1h"})
    answers = together(
        lambda line=line: [line.call("GET", f"{path}/a").status for _ in range(10)] for line in many
    )
    found = Counter(status for one in answers for status in one)
    assert found == {200: 100, 429: 10 * len(many) - 100}


def test_a_quota_holds_at_once_in_every_worker_and_is_gone_at_once(node, fresh, many, cleared):
    path = node.kv(fresh, version=1)
    for line in many:
        line.call("GET", f"{path}/a")
    node.ok("POST", f"{RATE}/{fresh}", {"path": f"{path}/", "rate": 1, "interval": "1h"})
    assert Counter(line.call("GET", f"{path}/a").status for line in many) == {404: 1, 429: len(many) - 1}
    node.ok("DELETE", f"{RATE}/{fresh}")
    assert {line.call("GET", f"{path}/a").status for line in many} == {404}


@pytest.mark.parametrize("limit", [5, 60])
def test_a_flood_of_logins_gets_exactly_as_many_tokens_as_the_quota_has(node, fresh, many, cleared, limit):
    node.ok("POST", f"{COUNT}/{fresh}", {"path": "auth/token", "max_leases": limit})
    answers = together(
        lambda line=line: [line.call("POST", "auth/token/create", BODY) for _ in range(5)] for line in many
    )
    replies = [reply for one in answers for reply in one]
    assert Counter(reply.status for reply in replies) == {200: limit, 429: len(replies) - limit}
    assert node.ok("GET", f"{COUNT}/{fresh}").data["counter"] == limit
    accessors = [reply.body["auth"]["accessor"] for reply in replies if reply.status == 200]
    together(
        lambda some=accessors[at::8], line=many[at]: [
            line.ok("POST", "auth/token/revoke-accessor", {"accessor": accessor}) for accessor in some
        ]
        for at in range(min(8, len(accessors)))
    )
    assert node.ok("GET", f"{COUNT}/{fresh}").data["counter"] == 0
    assert node.call("POST", "auth/token/create", BODY).status == 200


def test_one_tenants_quota_touches_no_other(node, fresh, cleared):
    names = [f"{fresh}-a", f"{fresh}-b"]
    for name in names:
        node.ok("PUT", f"sys/namespaces/{name}")
    node.ok("POST", f"{RATE}/{fresh}", {"path": names[0], "rate": 2, "interval": "1h"})
    node.ok("POST", f"{COUNT}/{fresh}", {"path": names[0], "max_leases": 1})
    assert node.call("POST", "auth/token/create", BODY, namespace=names[0]).status == 200
    assert node.call("POST", "auth/token/create", BODY, namespace=names[0]).status == 429
    assert node.call("GET", "sys/mounts", namespace=names[0]).status == 429
    for _ in range(3):
        assert node.call("POST", "auth/token/create", BODY, namespace=names[1]).status == 200
        assert node.call("GET", "sys/mounts", namespace=names[1]).status == 200
        assert node.call("GET", "sys/mounts").status == 200
    for name in names:
        node.call("DELETE", f"sys/namespaces/{name}")


def test_a_killed_node_has_counted_what_it_answered_and_nothing_else(begin):
    node = begin()
    node.ok("POST", f"{COUNT}/few", {"max_leases": 3})
    token = node.mint("default", ttl="1h")
    node.mint("default", ttl="1h")
    node.server.kill()
    node.restart()
    assert node.ok("GET", f"{COUNT}/few").data["counter"] == 2
    node.ok("POST", "auth/token/revoke", {"token": token})
    for status in (200, 200, 429):
        assert node.call("POST", "auth/token/create", BODY).status == status
