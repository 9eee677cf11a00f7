"""How long a lease may live: what is asked for, what the mount and the system allow, and the very end."""

import time

import pytest

from tests.invariants.node import eventually
from tests.leases.conftest import lookup


def renew(target, lease, **more):
    return target.node.call("PUT", "sys/leases/renew", {"lease_id": lease, **more})


def test_a_lease_that_asks_for_too_much_is_cut_with_a_warning_and_says_by_what(target):
    target.node.ok("POST", f"sys/mounts/{target.path}/tune", {"max_lease_ttl": "1h"})
    body = target.issue(ttl="2h").body
    assert body["lease_duration"] == 3600
    assert 'TTL of "2h" exceeded the effective max_ttl of "1h"' in body["warnings"][0]
    assert lookup(target.node, body["lease_id"]).data["capped_by"] == "mount"


def test_a_lease_without_a_wish_gets_the_mounts_default(target):
    target.node.ok("POST", f"sys/mounts/{target.path}/tune", {"default_lease_ttl": "7m"})
    assert target.issue().body["lease_duration"] == 420


def test_the_secrets_own_maximum_holds_for_renewals_too(target):
    body = target.issue(ttl="1m", max_ttl="90s").body
    answer = renew(target, body["lease_id"], increment=600).body
    assert 60 < answer["lease_duration"] <= 90
    assert answer["warnings"]
    assert lookup(target.node, body["lease_id"]).data["capped_by"] == "role"


def test_a_renewal_that_asks_for_nothing_repeats_what_was_granted(target):
    lease = target.issue(ttl="10m").body["lease_id"]
    assert renew(target, lease, increment=1200).body["lease_duration"] == 1200
    assert renew(target, lease).body["lease_duration"] == 1200
    assert renew(target, lease, increment=0).body["lease_duration"] == 1200


@pytest.mark.parametrize("increment", [-1, "-1s", 10**12, 1e99, "soon"])
def test_an_increment_that_is_no_lifetime_changes_nothing(target, increment):
    lease = target.issue(ttl="10m").body["lease_id"]
    before = lookup(target.node, lease).data["expire_time"]
    assert renew(target, lease, increment=increment).status == 400
    assert lookup(target.node, lease).data["expire_time"] == before


def test_within_the_last_second_there_is_nothing_to_renew(target):
    """A renewal just before the maximum once made leases that never end (CVE-2021-32923)."""
    lease = target.issue(ttl="2s", max_ttl="2s").body["lease_id"]
    until = time.time() + 1.3
    while time.time() < until:
        answer = renew(target, lease, increment=3600)
        if answer.status == 200:
            assert 1 <= answer.body["lease_duration"] <= 2
    refused = renew(target, lease, increment=3600)
    assert refused.status == 400
    assert target.emptied()
    assert eventually(lambda: lookup(target.node, lease).status == 400)


def test_an_expired_lease_is_not_renewed_though_its_revocation_fails(target):
    target.mode("fail")
    lease = target.issue(ttl="1s").body["lease_id"]
    eventually(lambda: "revocation" in lookup(target.node, lease).body.get("data", {}))
    assert renew(target, lease).errors == ["lease expired"]
    target.mode("ok")
    assert target.emptied()


def test_a_lease_that_is_not_renewable_is_not_renewed(target):
    lease = target.issue(renewable="false").body["lease_id"]
    assert renew(target, lease).errors == ["lease is not renewable"]


def test_a_batch_tokens_lease_ends_no_later_than_the_token(target):
    made = target.node.call(
        "POST", "auth/token/create", {"type": "batch", "ttl": "5m", "policies": ["root-like"]}
    )
    assert made.status == 200, made
    target.node.policy("root-like", 'path "*" { capabilities = ["read", "update", "sudo"] }')
    body = target.issue(ttl="1h", token=made.body["auth"]["client_token"]).body
    assert 290 <= body["lease_duration"] <= 300
    assert lookup(target.node, body["lease_id"]).data["capped_by"] == "token"
