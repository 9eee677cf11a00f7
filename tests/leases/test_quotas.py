"""Leases under a lease-count quota: so many live, and what is refused leaves nothing behind."""

from tests.invariants.node import eventually

COUNT = "sys/quotas/lease-count"


def test_only_so_many_leases_live_and_each_end_makes_room(target):
    node, name = target.node, f"count-{target.path}"
    node.ok("POST", f"{COUNT}/{name}", {"path": target.path, "max_leases": 2})
    leases = [target.issue().body["lease_id"] for _ in range(2)]
    refused = node.call("GET", f"{target.path}/creds/app")
    says = f'request path "{target.path}/creds/app": lease count quota exceeded'
    assert (refused.status, refused.errors) == (429, [says])
    assert eventually(lambda: len(target.live()) == 2)  # what the engine had made by then is undone
    node.ok("PUT", "sys/leases/revoke", {"lease_id": leases[0], "sync": True})
    assert node.ok("GET", f"{COUNT}/{name}").data["counter"] == 1
    target.issue()
    assert node.call("GET", f"{target.path}/creds/app").status == 429
    node.ok("DELETE", f"{COUNT}/{name}")
    target.issue()


def test_a_forced_end_gives_its_permit_back_too(target):
    node, name = target.node, f"forced-{target.path}"
    node.ok("POST", f"{COUNT}/{name}", {"path": target.path, "max_leases": 1})
    target.issue()
    target.mode("fail")
    node.ok("PUT", f"sys/leases/revoke-force/{target.path}")
    assert eventually(lambda: node.ok("GET", f"{COUNT}/{name}").data["counter"] == 0)
    node.ok("DELETE", f"{COUNT}/{name}")
