"""``sys/quotas`` as the peer has it: shapes, texts, precedence, headers."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import pytest

from tests.invariants.node import eventually
from tests.peer.harness import Pair, Side
from tests.peer.script import DELETE, GET, LIST, POST, WRONG, Differs

RATE = "sys/quotas/rate-limit"
EXEMPT = ["sys/", "auth/token/lookup-self"]
STRICTER = Differs("stricter-input", status=400, body=False)
UNKNOWN = Differs("unknown-fields", status=400, body=False)
SUMMARY = (
    "data.rate",
    "data.interval",
    "data.path",
    "data.inheritable",
    "data.block_interval",
    "data.role",
    "data.type",
)


@pytest.fixture
def mounted(pair: Pair) -> Iterator[Pair]:
    """Both with a KV mount of the test's own; quotas and their configuration are put back afterwards."""
    pair.run(POST("sys/mounts/${m}", {"type": "kv"}))
    yield pair
    for side in (pair.ours, pair.peer):
        root = {"X-Vault-Token": "root"}
        listed = side.client.send("LIST", f"/v1/{RATE}", root, None).body or {}
        for name in (listed.get("data") or {}).get("keys") or []:
            if name.startswith(pair.word):
                side.client.send("DELETE", f"/v1/{RATE}/{name}", root, None)
        side.client.send(
            "POST", "/v1/sys/quotas/config", root, b'{"rate_limit_exempt_paths": ["sys/health"]}'
        )


def test_a_rate_limit_is_written_read_listed_and_deleted(mounted: Pair):
    mounted.run(
        GET(f"{RATE}/${{m}}", 404),
        POST(f"{RATE}/${{m}}", {"rate": 500.5, "path": "${m}/"}, 204),
        GET(f"{RATE}/${{m}}"),
        POST(f"{RATE}/${{m}}", {"rate": 600, "path": "${m}", "interval": "1m", "block_interval": "10s"}, 204),
        GET(f"{RATE}/${{m}}"),
        LIST(RATE, mine="data.keys"),
        GET(f"{RATE}?list=true", mine="data.keys"),
        GET(RATE, 405, differs=WRONG),
        DELETE(f"{RATE}/${{m}}", 204),
        GET(f"{RATE}/${{m}}", 404),
        DELETE(f"{RATE}/${{m}}", 204),
    )


@pytest.mark.parametrize(
    "body",
    [
        {"path": "${m}/a*", "interval": 60},
        {"path": "${m}/a/b", "block_interval": 5},
        {"path": "/${m}/a"},
        {"path": "${m}/a", "inheritable": True},
        {"path": "${m}/a", "interval": "0s"},
        {"path": "${m}/a", "type": "rate-limit"},
        {"path": "auth/token"},
        {"path": "sys/*"},
    ],
)
def test_what_a_path_may_be(mounted: Pair, body: dict):
    mounted.run(
        POST(f"{RATE}/${{m}}", {"rate": 5000, **body}, 204),
        GET(f"{RATE}/${{m}}", only=SUMMARY),
        DELETE(f"{RATE}/${{m}}", 204),
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rate": 0},
        {"rate": -3},
        {"rate": "abc"},
        {"rate": 5, "path": "nowhere-at-all/"},
        {"rate": 5, "path": "sec*"},
        {"rate": 5, "path": "${m}/", "role": "x"},
        {"rate": 5, "path": "${m}/a", "role": "x"},
        {"rate": 5, "path": "auth/token", "role": "x"},
        {"rate": 5, "path": "${m}/", "interval": "-1s"},
        {"rate": 5, "path": "${m}/", "block_interval": "-1s"},
        {"rate": 5, "path": "${m}/", "interval": "abc"},
    ],
)
def test_what_is_refused(mounted: Pair, body: dict):
    mounted.run(POST(f"{RATE}/${{m}}", body, 400), GET(f"{RATE}/${{m}}", 404))


def test_odd_names_and_unknown_fields(mounted: Pair):
    mounted.run(
        POST(f"{RATE}/${{m}}%20x", {"rate": 500}, 404, differs=WRONG),
        POST(f"{RATE}/-${{m}}", {"rate": 500, "path": "${m}"}, 404, differs=WRONG),
        POST(f"{RATE}/${{m}}", {"rate": 500, "path": "${m}", "unknown": 1}, 204, differs=UNKNOWN),
        GET("sys/quotas", 404, differs=WRONG),
        DELETE("sys/quotas/config", 405, differs=WRONG),
    )


def test_two_quotas_for_the_same_are_refused(mounted: Pair):
    mounted.run(
        POST(f"{RATE}/${{m}}a", {"rate": 500, "path": "${m}"}, 204),
        POST(f"{RATE}/${{m}}b", {"rate": 500, "path": "${m}/"}, 400),
        POST(f"{RATE}/${{m}}b", {"rate": 500, "path": "${m}/x"}, 204),
        POST(f"{RATE}/${{m}}a", {"rate": 500, "path": "${m}/x"}, 400),
    )


def test_namespaces(mounted: Pair):
    mounted.run(
        POST("sys/namespaces/${m}n", {}),
        POST(f"{RATE}/${{m}}", {"rate": 5000, "path": "${m}n/"}, 204),
        GET(f"{RATE}/${{m}}"),
        POST(f"{RATE}/${{m}}b", {"rate": 5000, "path": "${m}n/auth/token/lookup-self"}, 204),
        GET(f"{RATE}/${{m}}b"),
        POST(f"{RATE}/${{m}}c", {"rate": 5000, "path": "${m}n/nowhere/"}, 400),
        POST(f"{RATE}/${{m}}", {"rate": 5000, "path": "${m}n/", "inheritable": True}, 204),
        GET(f"{RATE}/${{m}}"),
        GET(f"{RATE}/${{m}}", 400, namespace="${m}n"),
        POST(f"{RATE}/x", {"rate": 5}, 400, namespace="${m}n"),
        LIST(RATE, 400, namespace="${m}n"),
        GET("sys/quotas/config", 400, namespace="${m}n"),
        DELETE(f"{RATE}/${{m}}", 204),
        DELETE(f"{RATE}/${{m}}b", 204),
    )


def test_the_configuration_is_replaced_as_a_whole(mounted: Pair):
    mounted.run(
        POST(
            "sys/quotas/config",
            {"rate_limit_exempt_paths": ["sys/health", "a/b"], "enable_rate_limit_audit_logging": True},
            204,
        ),
        GET("sys/quotas/config"),
        POST("sys/quotas/config", {"rate_limit_exempt_paths": ["x"]}, 204),
        GET("sys/quotas/config"),
        POST("sys/quotas/config", {"enable_rate_limit_audit_logging": "maybe"}, 400),
        POST("sys/quotas/config", {"enable_rate_limit_response_headers": True}, 204),
        GET("sys/quotas/config"),
        POST("sys/quotas/config", {}, 204),
        GET("sys/quotas/config"),
    )


def test_whoever_calls_too_often_is_told_the_same(mounted: Pair):
    mounted.run(
        POST("${m}/a", {"x": 1}, 204),
        POST(f"{RATE}/${{m}}", {"rate": 2.5, "path": "${m}/", "interval": "1h"}, 204),
        GET("${m}/a"),
        GET("${m}/b", 404),
        LIST("${m}", 200),
        GET("${m}/a", 429),
        POST("${m}/a", {"x": 2}, 429),
        GET("${m}/a", 429, token="hvs.nobody"),
        DELETE(f"{RATE}/${{m}}", 204),
        GET("${m}/a"),
    )


@pytest.fixture
def approle(mounted: Pair) -> Pair:
    """Two roles of an approle mount that need no secret id."""
    open_role = {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8", "token_policies": "default"}
    mounted.run(
        POST("sys/auth/${m}", {"type": "approle"}),
        *[POST(f"auth/${{m}}/role/{name}", open_role) for name in ("App", "web")],
        *[POST(f"auth/${{m}}/role/{name}/role-id", {"role_id": f"id-{name}"}) for name in ("app", "web")],
    )
    return mounted


def logins(app: int, web: int) -> tuple:
    """A login with each role, and one with none; what each is answered."""
    return (
        POST("auth/${m}/login", {"role_id": "id-app"}, app, token="", only="auth.policies"),
        POST("auth/${m}/login", {"role_id": "id-web"}, web, token="", only="auth.policies"),
        POST("auth/${m}/login", {"role_id": "nobody"}, 400, token=""),
    )


@pytest.mark.parametrize(
    ("role", "second"),
    [("app", (429, 200)), ("App", (200, 200)), ("web", (200, 429)), ("id-app", (200, 200))],
)
def test_a_rate_limit_of_an_approle_role_goes_by_its_name(approle: Pair, role: str, second: tuple[int, int]):
    approle.run(
        POST(f"{RATE}/${{m}}", {"rate": 1, "path": "auth/${m}", "role": role, "interval": "1h"}, 204),
        GET(f"{RATE}/${{m}}"),
        *logins(200, 200),
        *logins(*second),
        DELETE(f"{RATE}/${{m}}", 204),
        *logins(200, 200),
    )


def test_roles_and_their_mount_are_counted_apart(approle: Pair):
    limit = {"path": "auth/${m}", "interval": "1h"}
    approle.run(
        POST(f"{RATE}/${{m}}", {"rate": 2, **limit}, 204),
        POST(f"{RATE}/${{m}}r", {"rate": 1, "role": "web", **limit}, 204),
        POST("auth/${m}/login", {"role_id": "id-web"}, 200, token="", only="auth.policies"),
        POST("auth/${m}/login", {"role_id": "id-web"}, 429, token=""),
        POST("auth/${m}/login", {"role_id": "id-app"}, 200, token="", only="auth.policies"),
        POST("auth/${m}/login", {"role_id": "nobody"}, 400, token=""),
        POST("auth/${m}/login", {"role_id": ["id-web"]}, 429, token=""),
    )


LIMIT_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining")


def told(pair: Pair, method: str, path: str) -> list[list[str | None]]:
    """What both say of the limit that holds for a path."""
    found = []
    for side in (pair.ours, pair.peer):
        pair.requests += 1
        reply = side.client.send(method, f"/v1/{path}", {"X-Vault-Token": "root"}, None)
        found.append([str(reply.status), *(reply.headers.get(name) for name in LIMIT_HEADERS)])
    return found


def test_the_most_specific_quota_holds_and_the_headers_say_so(mounted: Pair):
    word = mounted.word
    paths = {"": 901, "${m}/": 902, "${m}/a*": 903, "${m}/ab*": 904, "${m}/abc": 905, "auth/token": 906}
    mounted.run(
        POST("sys/quotas/config", {"enable_rate_limit_response_headers": True}, 204),
        *[
            POST(f"{RATE}/${{m}}{rate}", {"rate": rate, "interval": "1h", "path": path}, 204)
            for path, rate in reversed(paths.items())
        ],
    )
    asked = ["abc", "abcd", "abd", "ax", "a", "z", "z/y"]
    for path in [f"{word}/{name}" for name in asked] + ["auth/token/lookup-self", "cubbyhole/x", "nowhere/x"]:
        ours, peer = told(mounted, "GET", path)
        assert (ours[0], ours[1]) == (peer[0], peer[1]), path


def test_headers_of_the_refused(mounted: Pair):
    mounted.run(
        POST("sys/quotas/config", {"enable_rate_limit_response_headers": True}, 204),
        POST(f"{RATE}/${{m}}", {"rate": 1, "path": "${m}/", "interval": "1h", "block_interval": "2h"}, 204),
    )
    for _ in range(3):
        ours, peer = told(mounted, "GET", f"{mounted.word}/a")
        assert ours == peer
    replies = [
        side.client.send("GET", f"/v1/{mounted.word}/a", {"X-Vault-Token": "root"}, None)
        for side in (mounted.ours, mounted.peer)
    ]
    waits = [int(reply.headers["retry-after"]) for reply in replies]
    assert abs(waits[0] - waits[1]) <= 5


def test_a_quota_moves_and_ends_with_its_mount(mounted: Pair):
    mounted.run(
        POST(f"{RATE}/${{m}}", {"rate": 500, "path": "${m}/a"}, 204),
        POST("sys/remount", {"from": "${m}", "to": "${m}moved"}, 200, only="data.none"),
    )
    for side in (mounted.ours, mounted.peer):

        def path(side: Side = side) -> str:
            answer = side.client.send("GET", f"/v1/{RATE}/{mounted.word}", {"X-Vault-Token": "root"}, None)
            told: str = answer.body["data"]["path"]
            return told

        eventually(lambda: path() == f"{mounted.word}moved/a")
    mounted.run(DELETE("sys/mounts/${m}moved", 204), GET(f"{RATE}/${{m}}", 404))


def test_hvac_sets_and_lists_quotas(pair: Pair):
    answers = []
    for side, server in zip((pair.ours, pair.peer), pair.servers, strict=True):
        client = hvac.Client(url=server.address, token="root", timeout=20)
        client.sys.create_or_update_quota(name=pair.word, rate=5000, path=None)
        found = client.sys.read_quota(pair.word)["data"]
        listed = [name for name in client.sys.list_quotas()["data"]["keys"] if name == pair.word]
        client.sys.delete_quota(pair.word)
        answers.append((found, listed))
        pair.requests += 4
        assert (
            side.client.send("GET", f"/v1/{RATE}/{pair.word}", {"X-Vault-Token": "root"}, None).status == 404
        )
    assert answers[0] == answers[1]
