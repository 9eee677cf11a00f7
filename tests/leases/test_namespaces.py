"""Leases in namespaces, and of tokens from above."""

from tests.invariants.node import eventually
from tests.leases.conftest import Target, lookup


def space(node, name):
    node.ok("POST", f"sys/namespaces/{name}")
    return name


def test_a_lease_in_a_namespace_carries_its_id_and_is_found_there_only(shared, tmp_path):
    name = space(shared, "found")
    target = Target(shared, "db", tmp_path / "db", name)
    lease = target.issue().body["lease_id"]
    about = shared.ok("GET", f"sys/namespaces/{name}").data
    assert lease.endswith("." + about["id"])
    assert lookup(shared, lease, namespace=name).data["namespace_path"] == "found/"
    assert lookup(shared, lease).errors == ["invalid lease"]


def test_a_token_from_above_takes_its_leases_below_along(shared, tmp_path):
    name = space(shared, "below")
    target = Target(shared, "db", tmp_path / "db", name)
    token = shared.mint("root", ttl="1h")
    other = target.issue().body["data"]["username"]
    target.issue(token=token)
    target.issue(token=token)
    shared.ok("POST", "auth/token/revoke", {"token": token})
    assert eventually(lambda: target.live() == {other})


def test_a_namespace_gives_back_what_it_handed_out_before_it_goes(shared, tmp_path):
    name = space(shared, "gone")
    target = Target(shared, "db", tmp_path / "db", name)
    for _ in range(3):
        target.issue(ttl="1h")
    shared.ok("DELETE", f"sys/namespaces/{name}")
    assert shared.call("GET", "db/creds/app", namespace=name).status == 404
    assert target.emptied()
    assert eventually(lambda: shared.call("GET", f"sys/namespaces/{name}").status == 404)
    space(shared, name)
    assert shared.call("LIST", "sys/leases/lookup/db", namespace=name).status == 404


def test_a_namespace_whose_leases_resist_waits_for_them(shared, tmp_path):
    name = space(shared, "waits")
    target = Target(shared, "db", tmp_path / "db", name)
    target.issue(ttl="1h")
    target.mode("fail")
    shared.ok("DELETE", f"sys/namespaces/{name}")
    eventually(target.tries)
    assert shared.ok("GET", f"sys/namespaces/{name}").data["tainted"] is True
    assert shared.call("POST", f"sys/namespaces/{name}").status == 400
    target.mode("ok")
    assert target.emptied()
    assert eventually(lambda: shared.call("GET", f"sys/namespaces/{name}").status == 404)
