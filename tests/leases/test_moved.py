"""Leases of an engine that moves: they end, as they are named after its old path."""

from tests.leases.conftest import Target


def test_what_a_moved_engine_handed_out_is_revoked_and_it_goes_on_at_its_new_path(shared, tmp_path):
    target = Target(shared, "moving", tmp_path / "moving")
    for _ in range(3):
        target.issue(ttl="1h")
    assert len(target.live()) == 3
    shared.ok("POST", "sys/remount", {"from": "moving", "to": "moved"})
    assert target.emptied()
    target.path = "moved"
    lease = target.issue(ttl="1h").body["lease_id"]
    assert lease.startswith("moved/creds/app/")
    shared.ok("POST", "sys/leases/revoke-prefix/moved")
    assert target.emptied()


def test_a_mount_of_a_namespace_is_moved_by_its_parent_with_its_leases(shared, tmp_path):
    shared.ok("POST", "sys/namespaces/mover")
    target = Target(shared, "db", tmp_path / "db", "mover")
    target.issue(ttl="1h")
    before = shared.ok("GET", "sys/mounts").data
    shared.ok("POST", "sys/remount", {"from": "mover/db", "to": "mover/db9"})
    assert target.emptied()
    assert shared.ok("GET", "sys/mounts").data == before
    assert "db9/" in shared.ok("GET", "sys/mounts", namespace="mover").data
    refused = shared.call("POST", "sys/remount", {"from": "mover/db9", "to": "db9"})
    assert refused.status == 400
    assert "another namespace" in refused.errors[0]
