"""``sys/quotas`` on a real server: what a quota holds for, what it says, what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.system.conftest import Api

HOUR = {"interval": "1h"}
RATE, COUNT = "sys/quotas/rate-limit", "sys/quotas/lease-count"


@pytest.fixture
def own(node: Callable[..., Api]) -> Iterator[Api]:
    """A server of the test's own: quotas hold for everybody."""
    made = node()
    made.done("POST", "sys/mounts/kv", {"type": "kv"})
    made.done("PUT", "kv/a", {"x": "1"})
    return made


def statuses(api: Api, path: str, count: int, **more: object) -> list[int]:
    return [api.ask("GET", path, **more).status for _ in range(count)]


def limit_header(api: Api, path: str, **more: object) -> str | None:
    return api.ask("GET", path, **more).headers.get("x-ratelimit-limit")


def test_the_call_over_the_limit_is_refused_and_told_when_to_come_back(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 3, **HOUR})
    assert statuses(own, "kv/a", 3) == [200] * 3
    refused = own.ask("GET", "kv/a")
    assert (refused.status, refused.body) == (
        429,
        {"errors": ['request path "kv/a": rate limit quota exceeded']},
    )
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert "x-ratelimit-limit" not in refused.headers
    assert own.ask("GET", "sys/mounts").status == 200


def test_headers_tell_every_caller_what_is_left_where_that_is_asked_for(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 2, **HOUR})
    own.done("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    told = [own.ask("GET", "kv/a").headers for _ in range(3)]
    assert [one["x-ratelimit-limit"] for one in told] == ["2", "2", "2"]
    assert [one["x-ratelimit-remaining"] for one in told] == ["1", "0", "0"]
    assert all(0 < int(one["x-ratelimit-reset"]) <= 3600 for one in told)
    assert ["retry-after" in one for one in told] == [False, False, True]


def test_of_several_quotas_the_most_specific_counts_and_no_other(own: Api):
    own.done("PUT", "sys/namespaces/ns", {})
    own.done("PUT", "sys/namespaces/low", {}, namespace="ns")
    own.done("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    for rate, path in enumerate(
        ("", "kv/", "kv/a*", "kv/ab*", "kv/abc", "ns/", "ns/sys/mounts", "auth/token"), 101
    ):
        own.done("POST", f"{RATE}/q{rate}", {"rate": rate, "path": path})
    wanted = {
        "sys/mounts": 101,
        "kv/z": 102,
        "kv/ax": 103,
        "kv/abd": 104,
        "kv/abc": 105,
        "ns/sys/policies/acl/x": 106,
        "ns/sys/mounts": 107,
        "auth/token/lookup-self": 108,
        "nowhere/at/all": 101,
        "ns/low/sys/mounts": 101,
    }
    assert {path: int(limit_header(own, path) or 0) for path in wanted} == wanted
    own.done("POST", f"{RATE}/q106", {"rate": 106, "path": "ns/", "inheritable": True})
    assert limit_header(own, "ns/low/sys/mounts") == "106"
    assert limit_header(own, "sys/mounts", namespace="ns/low") == "106"
    own.done("POST", f"{RATE}/q101", {"rate": 101, "inheritable": False})
    own.done("DELETE", f"{RATE}/q106")
    assert limit_header(own, "ns/low/sys/mounts") is None
    assert limit_header(own, "sys/mounts") == "101"


def test_a_change_is_heard_by_the_next_request(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 1, **HOUR})
    assert statuses(own, "kv/a", 2) == [200, 429]
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 3, **HOUR})
    assert statuses(own, "kv/a", 3) == [200, 200, 429]  # what was counted stands
    own.done("DELETE", f"{RATE}/kv")
    assert own.ask("GET", "kv/a").status == 200
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 1, **HOUR})
    assert statuses(own, "kv/a", 2) == [200, 429]  # made anew, it counts anew


def test_a_quota_follows_its_mount_and_ends_with_it(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/a", "rate": 1, **HOUR})
    assert statuses(own, "kv/a", 2) == [200, 429]
    own.done("POST", "sys/remount", {"from": "kv", "to": "other"})
    assert own.data("GET", f"{RATE}/kv")["path"] == "other/a"
    assert statuses(own, "other/a", 1) == [429]
    own.done("DELETE", "sys/mounts/other")
    assert own.ask("GET", f"{RATE}/kv").status == 404
    assert own.ask("LIST", RATE).status == 404
    own.done("POST", "sys/mounts/kv", {"type": "kv"})
    assert statuses(own, "kv/a", 2) == [404, 404]
    own.done("POST", f"{RATE}/kv", {"path": "kv/a", "rate": 1, **HOUR})


def test_exempt_paths_are_never_refused(own: Api):
    own.done("POST", f"{RATE}/all", {"rate": 2, **HOUR})
    own.ask("GET", "sys/mounts")
    own.ask("GET", "sys/mounts")
    assert statuses(own, "sys/mounts", 1) == [429]
    assert statuses(own, "sys/health", 3) + statuses(own, "sys/seal-status", 3) == [200] * 6


def test_a_node_can_be_watched_within_limits_where_the_operator_wants_that(own: Api):
    own.done("POST", "sys/quotas/config", {"rate_limit_exempt_paths": ["sys/quotas/", "kv/fr*"]})
    own.done("POST", f"{RATE}/all", {"rate": 2, **HOUR})
    assert statuses(own, "sys/health", 3, token="") == [200, 200, 429]
    assert statuses(own, "kv/free", 3) == [404] * 3
    own.done("POST", "sys/quotas/config", {"absolute_rate_limit_exempt_paths": ["sys/quotas/", "sys/health"]})
    assert statuses(own, "sys/health", 3, token="") == [200] * 3
    assert own.data("GET", "sys/quotas/config") == {
        "absolute_rate_limit_exempt_paths": ["sys/quotas/", "sys/health"],
        "enable_rate_limit_audit_logging": False,
        "enable_rate_limit_response_headers": False,
        "rate_limit_exempt_paths": [],
    }


def test_whoever_goes_over_is_kept_out_for_the_block_interval(own: Api):
    own.done("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 1, "interval": "1s", "block_interval": "1h"})
    own.ask("GET", "kv/a")
    first = own.ask("GET", "kv/a")
    while first.status == 200:  # the first window ended in between
        first = own.ask("GET", "kv/a")
    assert int(first.headers["retry-after"]) == 3600
    again = own.ask("GET", "kv/a")
    assert again.status == 429
    assert "x-ratelimit-limit" not in again.headers


def test_a_flood_without_a_token_is_refused_before_anybody_looks_at_it(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 2, **HOUR})
    assert statuses(own, "kv/a", 4, token="hvs.made-up") == [403, 403, 429, 429]
    assert statuses(own, "kv/a", 1) == [429]  # counted by address, not by token


@pytest.mark.parametrize("wanted", [False, True])
def test_refused_requests_stand_in_the_log_only_where_that_is_asked_for(
    node: Callable[..., Api], tmp_path: Path, wanted: bool
):
    log = tmp_path / "audit.log"
    api = node(audit={"file": {"main": {"options": {"file_path": str(log)}}}})
    api.done("POST", "sys/quotas/config", {"enable_rate_limit_audit_logging": wanted})
    api.done("POST", f"{RATE}/tok", {"path": "auth/token/lookup-self", "rate": 1, **HOUR})
    assert statuses(api, "auth/token/lookup-self", 3) == [200, 429, 429]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    errors = [line.get("error") for line in lines if line.get("type") == "response"]
    refused = 'request path "auth/token/lookup-self": rate limit quota exceeded'
    assert errors.count(refused) == (2 if wanted else 0)


def test_the_sealed_node_forgets_no_quota(own: Api):
    own.done("POST", f"{RATE}/kv", {"path": "kv/", "rate": 1, **HOUR})
    own.done("PUT", "sys/seal")
    own.done("PUT", "sys/unseal", {"key": own.unseal_key})
    assert statuses(own, "kv/a", 2) == [200, 429]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (f"{RATE}/q", {}, "'rate' is invalid"),
        (f"{RATE}/q", {"rate": 0}, "'rate' is invalid"),
        (f"{RATE}/q", {"rate": -1}, "'rate' is invalid"),
        (f"{RATE}/q", {"rate": 1e300}, "'rate' is invalid"),
        (f"{RATE}/q", {"rate": "many"}, "a number"),
        (f"{RATE}/q", {"rate": 1, "path": "nowhere/"}, 'invalid mount path "nowhere/"'),
        (f"{RATE}/q", {"rate": 1, "path": "secret/", "role": "x"}, "not a valid auth method"),
        (f"{RATE}/q", {"rate": 1, "path": "auth/token", "role": "x"}, "does not support use with role-based"),
        (f"{RATE}/q", {"rate": 1, "path": "auth/token/create", "role": "x"}, "both a path suffix and a role"),
        (f"{RATE}/q", {"rate": 1, "role": "x"}, "not a valid auth method"),
        (f"{RATE}/q", {"rate": 1, "interval": "-1s"}, "at least 0"),
        (f"{RATE}/q", {"rate": 1, "block_interval": "-1s"}, "at least 0"),
        (f"{RATE}/-q", {"rate": 1}, "name of a quota"),
        (f"{RATE}/q q", {"rate": 1}, "name of a quota"),
        (f"{COUNT}/q", {}, "'max_leases' is invalid"),
        (f"{COUNT}/q", {"max_leases": -5}, "'max_leases' is invalid"),
        (f"{COUNT}/q", {"max_leases": 5, "path": "nowhere"}, "invalid mount path"),
    ],
)
def test_what_makes_no_sense_is_refused_and_stores_nothing(api: Api, path: str, body: object, says: str):
    reply = api.ask("POST", path.replace(" ", "%20"), body)
    assert (reply.status, says in reply.body["errors"][0]) == (400, True), reply
    assert api.ask("LIST", RATE).status == 404
    assert api.ask("LIST", COUNT).status == 404


def test_two_quotas_cannot_hold_for_the_same(own: Api):
    own.done("POST", f"{RATE}/one", {"path": "kv/", "rate": 10})
    reply = own.ask("POST", f"{RATE}/two", {"path": "kv", "rate": 20})
    says = 'quota rule with similar properties exists under the name "one"'
    assert (reply.status, reply.body["errors"]) == (400, [says])
    own.done("POST", f"{COUNT}/one", {"path": "kv/", "max_leases": 20})


def test_only_the_root_namespace_sets_quotas(own: Api):
    own.done("PUT", "sys/namespaces/ns", {})
    for method, path in (("LIST", RATE), ("GET", f"{RATE}/x"), ("GET", "sys/quotas/config"), ("LIST", COUNT)):
        assert own.ask(method, path, namespace="ns").status == 400
    assert own.ask("POST", f"{RATE}/x", {"rate": 1}, namespace="ns").status == 400


# Lease counts


def made(api: Api, **more: object) -> str:
    reply = api.ask("POST", "auth/token/create", {"policies": ["default"], "ttl": "1h", **more})
    assert reply.status == 200, reply
    token: str = reply.body["auth"]["client_token"]
    return token


def test_only_so_many_tokens_live_at_once(own: Api):
    own.done("POST", f"{COUNT}/few", {"max_leases": 3})
    tokens = [made(own) for _ in range(3)]
    refused = own.ask("POST", "auth/token/create", {"ttl": "1h"})
    says = 'request path "auth/token/create": lease count quota exceeded'
    assert (refused.status, refused.body["errors"]) == (429, [says])
    assert own.data("GET", f"{COUNT}/few") == {
        "counter": 3,
        "inheritable": True,
        "max_leases": 3,
        "name": "few",
        "path": "",
        "role": "",
        "type": "lease-count",
    }
    own.done("POST", "auth/token/revoke", {"token": tokens[0]})
    assert own.data("GET", f"{COUNT}/few")["counter"] == 2
    made(own)
    assert own.ask("POST", "auth/token/create", {"ttl": "1h"}).status == 429
    own.done("DELETE", f"{COUNT}/few")
    made(own)
    own.done("POST", "auth/token/revoke", {"token": tokens[1]})


def test_a_root_token_that_never_ends_is_no_lease(own: Api):
    own.done("POST", f"{COUNT}/few", {"max_leases": 1})
    own.done("POST", "auth/token/create", {"policies": ["root"]})
    assert own.data("GET", f"{COUNT}/few")["counter"] == 0


def test_a_raised_limit_acts_at_once_and_a_lowered_one_revokes_nothing(own: Api):
    own.done("POST", f"{COUNT}/few", {"max_leases": 1})
    token = made(own)
    assert own.ask("POST", "auth/token/create", {"ttl": "1h"}).status == 429
    own.done("POST", f"{COUNT}/few", {"max_leases": 2})
    made(own)
    own.done("POST", f"{COUNT}/few", {"max_leases": 1})
    assert own.ask("POST", "auth/token/create", {"ttl": "1h"}).status == 429
    assert own.ask("GET", "auth/token/lookup-self", token=token).status == 200


def test_the_logins_of_an_approle_role_are_counted_by_its_name(own: Api):
    own.done("POST", "sys/auth/approle", {"type": "approle"})
    for name in ("app", "web"):
        role = {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8", "role_id": f"id-{name}"}
        own.done("POST", f"auth/approle/role/{name}", role)
    own.done("POST", f"{COUNT}/few", {"max_leases": 1, "path": "auth/approle", "role": "app"})
    answers = [
        own.ask("POST", "auth/approle/login", {"role_id": f"id-{name}"}) for name in ("app", "app", "web")
    ]
    assert [answer.status for answer in answers] == [200, 429, 200]
    assert own.data("GET", f"{COUNT}/few")["counter"] == 1
    own.done("POST", "auth/token/revoke", {"token": answers[0].body["auth"]["client_token"]})
    assert own.data("GET", f"{COUNT}/few")["counter"] == 0
    assert own.ask("POST", "auth/approle/login", {"role_id": "id-app"}).status == 200


def test_an_inherited_count_is_each_namespaces_own(own: Api):
    own.done("PUT", "sys/namespaces/one", {})
    own.done("PUT", "sys/namespaces/two", {})
    own.done("POST", f"{COUNT}/few", {"max_leases": 1})
    for namespace in ("one", "two"):
        body = {"policies": ["default"], "ttl": "1h"}
        assert own.ask("POST", "auth/token/create", body, namespace=namespace).status == 200
        assert own.ask("POST", "auth/token/create", body, namespace=namespace).status == 429
