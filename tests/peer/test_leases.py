"""``sys/leases``: looking up, listing, renewing and revoking what has a lease, and every way of asking wrongly.

Tokens are what both servers lease without any outside system, so most scripts are about theirs.
"""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, POST, PUT, WRONG, Differs

IGNORED = ("data.keys",)
OLD = Differs("old-lease-paths", status=(200, 204, 400), body=False)
FIVE = Differs("no-5xx-for-bad-input", status=400, body=False)
AUTH = "auth/token/create/${m}"


@pytest.fixture
def role(pair):
    """A token of a role of this test's own: its lease lies below ``auth/token/create/<word>``."""
    pair.run(
        POST("auth/token/roles/${m}", {"allowed_policies": ["default"], "orphan": True}),
        POST(AUTH, {"ttl": "1h", "policies": ["default"]}, save={"tok": "auth.client_token"}),
        LIST(f"sys/leases/lookup/{AUTH}", save={"lease": "data.keys.0"}, ignore=IGNORED),
    )
    yield pair
    pair.run(DELETE("auth/token/roles/${m}"))


def test_a_token_is_found_by_its_lease(role):
    role.run(
        PUT("sys/leases/lookup", {"lease_id": f"{AUTH}/${{lease}}"}, ignore=("data.id",)),
        POST("sys/leases/lookup", {"lease_id": f"{AUTH}/${{lease}}"}, ignore=("data.id",)),
        LIST("sys/leases/lookup/auth/token/create", mine=("data.keys",)),
        LIST(f"sys/leases/lookup/{AUTH}/", ignore=IGNORED),
        GET(f"sys/leases/lookup/{AUTH}?list=true", ignore=IGNORED),
    )


def test_a_token_is_not_renewed_by_its_lease(role):
    lease = f"{AUTH}/${{lease}}"
    role.run(
        PUT("sys/leases/renew", {"lease_id": lease}, 400),
        PUT("sys/leases/renew", {"lease_id": lease, "increment": 60}, 400),
        PUT("sys/leases/renew", {"lease_id": lease, "increment": "1h"}, 400),
        PUT("sys/leases/renew", {"lease_id": lease, "increment": 0}, 400),
        PUT(f"sys/leases/renew/{lease}", None, 400),
        PUT(f"sys/leases/renew/{lease}", {"increment": 60}, 400),
    )


@pytest.mark.parametrize("increment", [-1, "-5s", "soon", "5 minutes", {}, [], 10**12, "1e99", True])
def test_an_increment_that_is_none(role, increment):
    role.run(PUT("sys/leases/renew", {"lease_id": f"{AUTH}/${{lease}}", "increment": increment}, 400))


def test_revoking_a_lease_ends_the_token(role):
    role.run(
        GET("auth/token/lookup-self", 200, token="${tok}", only=("data.policies",)),
        PUT("sys/leases/revoke", {"lease_id": f"{AUTH}/${{lease}}", "sync": True}, 204),
        GET("auth/token/lookup-self", 403, token="${tok}"),
        PUT("sys/leases/lookup", {"lease_id": f"{AUTH}/${{lease}}"}, 400),
        PUT("sys/leases/revoke", {"lease_id": f"{AUTH}/${{lease}}"}, 204),
        LIST(f"sys/leases/lookup/{AUTH}", 404),
    )


def test_revoking_in_the_background_says_so(role):
    lease = f"{AUTH}/${{lease}}"
    role.run(
        PUT("sys/leases/revoke", {"lease_id": lease, "sync": False}, 202),
        PUT("sys/leases/revoke", {"lease_id": "nope", "sync": False}, 202),
        PUT(f"sys/leases/revoke-prefix/{AUTH}", {"sync": False}, 202),
        PUT("sys/leases/revoke-prefix/nope", {"sync": "false"}, 202),
        PUT("sys/leases/revoke", {"lease_id": "", "sync": False}, 400),
        PUT("sys/leases/revoke-prefix/nope/", {"sync": False}, 400),
    )


def test_revoking_by_the_path_ends_the_token(role):
    role.run(
        PUT(f"sys/leases/revoke/{AUTH}/${{lease}}", {"sync": True}, 204),
        GET("auth/token/lookup-self", 403, token="${tok}"),
    )


@pytest.mark.parametrize("kind", ["revoke-prefix", "revoke-force"])
@pytest.mark.parametrize("prefix", [AUTH, f"{AUTH}/${{lease}}"])
def test_revoking_below_a_prefix_ends_the_token(role, kind, prefix):
    role.run(
        PUT(f"sys/leases/{kind}/{prefix}", {"sync": True} if kind == "revoke-prefix" else None, 204),
        GET("auth/token/lookup-self", 403, token="${tok}"),
    )


def test_a_prefix_ends_at_a_slash(role):
    role.run(
        PUT("sys/leases/revoke-prefix/auth/token/create/t", {"sync": True}, 204),
        GET("auth/token/lookup-self", 200, token="${tok}", only=("data.policies",)),
    )


def test_a_revoked_token_has_no_lease(role):
    role.run(
        POST("auth/token/revoke", {"token": "${tok}"}, 204),
        PUT("sys/leases/lookup", {"lease_id": f"{AUTH}/${{lease}}"}, 400),
    )


@pytest.mark.parametrize("verb", ["lookup", "renew", "revoke"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lease_id": ""},
        {"lease_id": None},
        {"lease_id": "nope"},
        {"lease_id": "nope/there/is/none"},
        {"lease_id": "nope/"},
        {"lease_id": "auth/token/create/h" + "0" * 64},
    ],
    ids=repr,
)
def test_a_lease_that_is_not_there(pair, verb, body):
    named = body.get("lease_id") or ""
    status = 204 if verb == "revoke" and named else 400
    pair.run(PUT(f"sys/leases/{verb}", body, status))


@pytest.mark.parametrize("body", [{"lease_id": 5}, {"lease_id": ["a"]}, {"lease_id": {"a": 1}}], ids=repr)
def test_a_lease_id_that_is_none(pair, body):
    pair.run(PUT("sys/leases/lookup", body, 400))


@pytest.mark.parametrize("verb", ["lookup", "renew", "revoke"])
@pytest.mark.parametrize("lease_id", ["secret/../sys", "../x", "a/.."])
def test_a_lease_id_that_climbs(pair, verb, lease_id):
    pair.run(PUT(f"sys/leases/{verb}", {"lease_id": lease_id}, 400))


@pytest.mark.parametrize("sync", ["maybe", 7, [], {}], ids=repr)
def test_a_sync_that_is_none(pair, sync):
    pair.run(PUT("sys/leases/revoke", {"lease_id": "nope", "sync": sync}, 400))


def test_listing_what_is_not_there(pair):
    pair.run(
        LIST("sys/leases/lookup/${m}", 404),
        LIST("sys/leases/lookup/${m}/", 404),
        LIST("sys/leases/lookup/${m}/deeper/", 404),
    )


def test_the_wrong_verbs(pair):
    pair.run(
        GET("sys/leases/lookup", 405, differs=WRONG),
        GET("sys/leases/lookup/auth", 405, differs=WRONG),
        DELETE("sys/leases/lookup", 405, differs=WRONG),
        GET("sys/leases/renew", 405, differs=WRONG),
        GET("sys/leases/revoke", 405, differs=WRONG),
        GET("sys/leases/tidy", 405, differs=WRONG),
        PUT("sys/leases/revoke-prefix", None, 404, differs=WRONG),
        PUT("sys/leases/revoke-force", None, 404, differs=WRONG),
        LIST("sys/leases", 404, differs=WRONG),
    )


def test_prefixes_that_are_none(pair):
    pair.run(
        PUT("sys/leases/revoke-prefix/${m}", None, 204),
        PUT("sys/leases/revoke-prefix/${m}", {"sync": True}, 204),
        PUT("sys/leases/revoke-force/${m}", None, 204),
        PUT("sys/leases/revoke-prefix/${m}/", None, 400),
        PUT("sys/leases/revoke-force/${m}/", None, 400),
        PUT("sys/leases/revoke-prefix/", None, 400),
    )


def test_counting_and_listing_irrevocable_leases(pair):
    pair.run(
        GET("sys/leases/count?type=irrevocable"),
        GET("sys/leases/count?type=irrevocable&include_child_namespaces=true"),
        GET("sys/leases?type=irrevocable"),
        GET("sys/leases?type=irrevocable&limit=5"),
        GET("sys/leases?type=irrevocable&limit=none"),
        GET("sys/leases?type=irrevocable&limit=bad", 500, differs=FIVE),
        GET("sys/leases", 404),
        GET("sys/leases?type=other", 404),
        GET("sys/leases/count", 404),
        GET("sys/leases/count?type=other", 404),
    )


def test_tidying(pair):
    pair.run(
        PUT("sys/leases/tidy", None, 202, ignore=("warnings",)),
        POST("sys/leases/tidy", None, 202, ignore=("warnings",)),
    )


def test_the_old_paths(pair):
    pair.run(
        PUT("sys/renew/nope", None, 404, differs=OLD),
        PUT("sys/renew", {"lease_id": "nope"}, 404, differs=OLD),
        PUT("sys/revoke/nope", None, 404, differs=OLD),
        PUT("sys/revoke-prefix/nope", None, 404, differs=OLD),
        PUT("sys/revoke-force/nope", None, 404, differs=OLD),
    )


def test_what_needs_sudo(pair):
    everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'
    pair.run(
        PUT("sys/policies/acl/${m}", {"policy": everything}),
        POST("auth/token/create", {"policies": ["${m}"], "ttl": "5m"}, save={"few": "auth.client_token"}),
        PUT("sys/leases/lookup", {"lease_id": "x"}, 400, token="${few}"),
        LIST("sys/leases/lookup", 403, token="${few}"),
        LIST("sys/leases/lookup/", 403, token="${few}"),
        LIST("sys/leases/lookup/auth", 403, token="${few}"),
        PUT("sys/leases/renew", {"lease_id": "x"}, 400, token="${few}"),
        PUT("sys/leases/revoke", {"lease_id": "x"}, 204, token="${few}"),
        PUT("sys/leases/revoke-prefix/x", {}, 403, token="${few}"),
        PUT("sys/leases/revoke-force/x", None, 403, token="${few}"),
        GET("sys/leases?type=irrevocable", 403, token="${few}"),
        GET("sys/leases/count?type=irrevocable", 200, token="${few}"),
    )


def test_in_a_namespace(pair):
    pair.run(
        POST("sys/namespaces/${m}", {}, 200),
        POST(
            "auth/token/create",
            {"ttl": "1h", "policies": ["default"], "no_parent": True},
            namespace="${m}",
            save={"tok": "auth.client_token"},
        ),
        LIST(
            "sys/leases/lookup/auth/token/create",
            namespace="${m}",
            save={"lease": "data.keys.0"},
            ignore=IGNORED,
        ),
        PUT(
            "sys/leases/lookup",
            {"lease_id": "auth/token/create/${lease}"},
            namespace="${m}",
            ignore=("data.id",),
        ),
        PUT(
            "sys/leases/lookup",
            {"lease_id": "auth/token/create/${lease}"},
            200,
            differs=Differs("leases-in-their-namespace", status=400, body=False),
        ),
        PUT("sys/leases/revoke-prefix/auth/token/create", {"sync": True}, 204, namespace="${m}"),
        GET("auth/token/lookup-self", 403, token="${tok}", namespace="${m}"),
    )
