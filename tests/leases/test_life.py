"""A leased secret, from its request to its end, on a real node."""

import time

import pytest

from tests.invariants.node import eventually, together
from tests.leases.conftest import lookup


def test_a_lease_is_there_before_its_secret_is_told(target):
    reply = target.issue(ttl="1h")
    body = reply.body
    assert body["lease_duration"] == 3600
    assert body["renewable"] is True
    assert body["lease_id"].startswith(f"{target.path}/creds/app/")
    assert len(body["lease_id"].rpartition("/")[2]) == 24
    found = lookup(target.node, body["lease_id"]).data
    assert found["path"] == f"{target.path}/creds/app"
    assert 3590 <= found["ttl"] <= 3600
    assert target.live() == {body["data"]["username"]}


def test_a_secret_ends_within_two_seconds_of_its_time_and_not_before(target):
    begun, ends = {}, {}
    for _ in range(4):  # not all at one place of the steward's second
        before = time.time()
        begun[target.issue(ttl="2s").body["data"]["username"]] = before
        time.sleep(0.35)
    assert target.emptied()
    for line in target.tries():
        when, _, user = line.split()
        ends[user] = float(when) - begun[user] - 2
    assert len(ends) == 4 and min(ends.values()) >= 0
    # A busy machine adds to each; what the broker itself adds is in all of them.
    assert min(ends.values()) <= 2


@pytest.mark.parametrize("body", [{}, {"sync": True}])
def test_revoking_is_done_when_answered(target, body):
    lease = target.issue().body["lease_id"]
    assert target.node.call("PUT", "sys/leases/revoke", {"lease_id": lease, **body}).status == 204
    assert target.live() == set()
    assert lookup(target.node, lease).errors == ["invalid lease"]
    target.issue()
    assert target.node.call("PUT", f"sys/leases/revoke-prefix/{target.path}", body).status == 204
    assert target.live() == set()


def test_revoking_without_sync_is_done_soon_and_ends_renewals_at_once(target):
    lease = target.issue().body["lease_id"]
    answer = target.node.call("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": False})
    assert (answer.status, answer.raw) == (202, b"")
    renewed = target.node.call("PUT", "sys/leases/renew", {"lease_id": lease})
    assert renewed.errors == ["lease not found"]
    assert target.emptied()


def test_a_revoked_token_takes_its_leases_along(target):
    token = target.node.mint("root", ttl="1h")
    for _ in range(3):
        target.issue(token=token)
    assert len(target.live()) == 3
    target.node.ok("POST", "auth/token/revoke", {"token": token})
    assert target.emptied()


def test_an_expired_parent_takes_the_leases_of_its_children_along(target):
    parent = target.node.mint("root", ttl="2s")
    child = target.node.call("POST", "auth/token/create", {"ttl": "1h"}, token=parent)
    target.issue(token=child.body["auth"]["client_token"])
    assert target.emptied()


def test_a_prefix_is_revoked_and_its_neighbour_is_not(target):
    for _ in range(3):
        target.issue("app")
    kept = target.issue("apple").body["data"]["username"]
    target.node.ok("PUT", f"sys/leases/revoke-prefix/{target.path}/creds/app", {"sync": True})
    assert target.live() == {kept}


def test_a_target_that_fails_is_asked_again_until_it_works(target):
    target.mode("fail")
    lease = target.issue().body["lease_id"]
    target.node.call("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": False})
    trouble = eventually(lambda: lookup(target.node, lease).body.get("data", {}).get("revocation"))
    assert trouble["last_error"] == "ValueError"
    assert trouble["attempts"] >= 1
    target.mode("ok")
    assert target.emptied()


def test_a_target_that_fails_when_asked_at_once_is_told_so_without_its_secrets(target):
    target.mode("fail")
    lease = target.issue().body["lease_id"]
    refused = target.node.call("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})
    assert refused.status == 400
    assert "ValueError" in refused.errors[0]
    assert "p4ss-" not in refused.errors[0]
    target.mode("ok")
    assert target.emptied()


def test_force_forgets_what_cannot_be_revoked(target):
    target.mode("fail")
    lease = target.issue().body["lease_id"]
    target.node.ok("PUT", f"sys/leases/revoke-force/{target.path}")
    assert lookup(target.node, lease).status == 400
    assert len(target.live()) == 1


def test_of_renewals_and_a_revocation_at_once_the_revocation_wins(target):
    lease = target.issue(ttl="1h").body["lease_id"]
    lines = target.node.spread()[:8]
    jobs = [lambda line=line: line.call("PUT", "sys/leases/renew", {"lease_id": lease}) for line in lines]
    jobs.append(lambda: target.node.ok("PUT", "sys/leases/revoke", {"lease_id": lease}))
    together(jobs)
    assert target.emptied()
    eventually(lambda: lookup(target.node, lease).status == 400)


def test_a_request_that_fails_after_its_effect_leaves_nothing_behind(target):
    target.mode("refuse")
    reply = target.node.call("GET", f"{target.path}/creds/app")
    assert reply.status == 400
    target.mode("ok")
    assert target.emptied()


def test_a_disabled_mount_gives_back_what_it_handed_out(target):
    for _ in range(3):
        target.issue()
    target.node.ok("DELETE", f"sys/mounts/{target.path}")
    assert target.emptied()


def test_what_dies_with_a_token_is_told_beforehand_page_by_page(target):
    node = target.node
    token = node.mint("root", ttl="1h")
    wanted = {"ttl": "30m", "policies": ["root"]}
    child = node.call("POST", "auth/token/create", wanted, token=token).body["auth"]
    leases = {target.issue(token=token).body["lease_id"] for _ in range(3)}
    target.issue(token=child["client_token"])
    target.issue()
    seen, after = [], ""
    for _ in range(2):
        page = node.ok("POST", "auth/token/dies-with", {"token": token, "after": after, "limit": 2}).data
        assert page["counts"] == {"tokens": 1, "leases": 3, "complete": True}
        assert len(page["tokens"]) + len(page["leases"]) == 2
        seen += [row["accessor"] for row in page["tokens"]] + [row["lease_id"] for row in page["leases"]]
        after = page["next"]
    assert after == ""
    assert seen[0] == child["accessor"]
    assert set(seen[1:]) == leases
    below = node.ok("POST", "auth/token/dies-with", {"accessor": child["accessor"]}).data
    assert below["counts"]["leases"] == 1
