"""Invariant: every field of every path takes any JSON value thrown at it without a 5xx, and echoes none."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from contextlib import closing

import pytest

from tests.invariants.node import Node

MARK = "EcHo"
SEED = 20261122
PER_OPERATION = 100
"""Requests per operation of the document; fields times values are sampled down to it."""

BIG = MARK * 262_144  # 1 MiB
VALUES = [
    None,
    True,
    1,
    -1,
    1.5,
    10**30,
    "",
    MARK,
    f"{MARK}\n\u0000\u202e",
    [],
    [[]],
    [MARK, 1],
    {},
    {MARK: {MARK: [MARK]}},
    {"a": None},
    BIG,
]

REPEATED = frozenset(
    [
        "type",
        "plugin_name",
        "algorithm",
        "urlalgorithm",
        "format",
        "source",
        "policy",
        "rules",
        "from",
        "to",
        "custom_metadata",
        "level",
        "method_id",
        "token_bound_cidrs",
    ]
)
"""Fields whose errors repeat a name that was sent, as clients of Vault expect: no secret goes there."""

MAX_ERROR_BYTES = 1000

# What would end the session itself, or the server's use for the tests after it.
# sys/monitor answers for ever, and a rate limit of odd numbers refuses all that comes after it.
LEFT_OUT = re.compile(
    r"^/(sys/(seal|step-down|rekey|generate-root|init|unseal|rotate|config/reload|raw|monitor|quotas)|auth/token/revoke-self)"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node of this module's own: what is thrown at it changes mounts, policies and headers."""
    made = Node.begin(tmp_path_factory.mktemp("types"))
    made.kv("typed2")
    made.kv("typed1", version=1)
    made.ok("POST", "typed2/data/a", {"data": {"k": "v"}})
    yield made
    made.end()


@pytest.fixture(scope="module")
def document(node):
    return node.ok("GET", "sys/internal/specs/openapi").body


def operations(document):
    """Each operation as ``(method, path template, parameter names, body fields)``."""
    for template, item in document["paths"].items():
        for method in ("get", "post", "patch", "delete"):
            if method not in item:
                continue
            given = [*item.get("parameters", ()), *item[method].get("parameters", ())]
            yield (
                method,
                template,
                [one["name"] for one in given if one["in"] != "path"],
                fields(document, item[method]),
            )


def fields(document, operation) -> list[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return list(schema.get("properties", {}))
    return []


def filled(template: str) -> str:
    """The template with a harmless name in each hole, KV mounts being ours."""
    path = re.sub(
        r"\{(\w*)mount_path\}", lambda hole: "typed2" if "kv" in hole[1] else hole[1].rstrip("_"), template
    )
    path = path.replace("/secret/", "/typed2/")
    return re.sub(r"\{\w+\}", "probe", path).lstrip("/")


STORED = (
    "SELECT path, revision FROM entries WHERE path NOT LIKE 'sys/token/%' AND path NOT LIKE 'sys/due/%' AND path NOT LIKE 'sys/lease/%'"
    " AND (path LIKE 'sys/%' OR path LIKE 'logical/%')"
)
"""What engines and the system keep; tokens come and go by themselves, as those made before expire."""


class Rows:
    """What is stored, read again only when somebody has written."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._version: int | None = None
        self._known: set[tuple[str, int]] = set()

    def now(self) -> set[tuple[str, int]]:
        (version,) = self._base.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version, self._known = version, set(self._base.execute(STORED))
        return self._known


@pytest.fixture(scope="module")
def rows(node):
    with closing(sqlite3.connect(f"file:{node.folder}/data/root.db?mode=ro", uri=True)) as base:
        yield Rows(base)


def answered(node, rows: Rows, method: str, path: str, body: object, headers=()) -> list[str]:
    """Send one request; complaints about its answer."""
    raw = None if body is None else json.dumps(body).encode()
    before = rows.now()
    reply = node.call(method, path, raw=raw, headers=headers)
    wrong = []
    if reply.status >= 500:
        wrong.append(f"status {reply.status}: {reply.raw[:200]!r}")
    if reply.status >= 400 and len(reply.raw) > MAX_ERROR_BYTES:
        wrong.append(f"{len(reply.raw)} bytes of error")
    names = set(body) if isinstance(body, dict) else set()
    if reply.status >= 400 and MARK.encode() in reply.raw and not names & REPEATED:
        wrong.append(f"echoes: {reply.raw[:200]!r}")
    if reply.status >= 400 and rows.now() != before:
        wrong.append(f"refused with {reply.status}, but wrote {rows.now() ^ before}")
    return wrong


def test_every_field_of_every_path_bears_every_type(node, rows, document):
    seed, wrong, count = random.Random(SEED), [], 0
    for method, template, query, names in operations(document):
        if LEFT_OUT.search(template):
            continue
        path = filled(template)
        if method in ("post", "patch"):
            tries = [(name, value) for name in [*names, "no_such_field"] for value in VALUES]
            for name, value in seed.sample(tries, min(len(tries), PER_OPERATION)):
                body = {name: value}
                if seed.random() < 0.5 and len(names) > 1:
                    body[seed.choice(names)] = seed.choice(VALUES[:-1])
                headers = [("Content-Type", "application/merge-patch+json")] if method == "patch" else ()
                count += 1
                shown = {key: repr(tried)[:40] for key, tried in body.items()}
                wrong += [
                    f"{method} {path} {shown}: {text}"
                    for text in answered(node, rows, method.upper(), path, body, headers)
                ]
        else:
            for name in [*query, "no_such_field"]:
                for text in ("", "-1", "1.5", "true", MARK, "%00", "%ff", "9" * 40, "a,b", "%5B%5D"):
                    count += 1
                    wrong += [
                        f"{method} {path}?{name}={text}: {complaint}"
                        for complaint in answered(node, rows, method.upper(), f"{path}?{name}={text}", None)
                    ]
    assert count > 1000
    assert wrong == [], f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:40])
    node.ok("GET", "auth/token/lookup-self")


@pytest.mark.parametrize(
    "path", ["sys/unseal", "sys/init", "sys/rekey/init", "sys/generate-root/attempt", "sys/wrapping/lookup"]
)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_the_paths_without_a_token_bear_every_type(node, path, value):
    for field in (
        "key",
        "reset",
        "nonce",
        "migrate",
        "secret_shares",
        "secret_groups",
        "pgp_keys",
        "otp",
        "pgp_key",
        "token",
    ):
        reply = node.call("PUT", path, {field: value}, token="")
        assert reply.status < 500, f"{field}: {reply}"
        assert reply.status < 400 or MARK.encode() not in reply.raw, f"{field}: {reply}"
    assert node.ok("GET", "sys/seal-status", token="").body["sealed"] is False
