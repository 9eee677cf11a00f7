"""What is asked of a server: 1,000 keys, one application token, and wrk's request scripts."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contrib.bench.servers import BenchFailed, Server

KEYS = 1000
CONNECTIONS = 64
THREADS = 1
"""Of wrk. One can ask for far more than two cores can answer, and each takes its time from the server's."""
VALUE = {
    "username": "application",
    "password": "c0rrect-horse-battery-staple",
    "host": "db.internal",
    "port": 5432,
}

POLICY = """
path "kv/data/app/*" { capabilities = ["create", "read", "update"] }
path "kv/metadata/app/*" { capabilities = ["list", "read"] }
"""

# What a wrk script sends; ``n`` walks the keys in a fixed pseudo-random order. All requests are written before the clock
# starts: on a machine that server and load share, time spent on writing them again would be the server's.
SCENARIOS: dict[str, str] = {
    "KV v2 read": "reads[n]",
    "KV v2 write": "writes[n]",
    "90/10 mix": "turn % 10 == 0 and writes[n] or reads[n]",
    "token lookup-self": "lookup",
    "approle login": "login",
}

SCRIPT = """
local turn, n = 0, math.random(0, %(keys)d - 1)
local reads, writes, lookup, login = {}, {}, "", ""
local json = { ["Content-Type"] = "application/json" }
local mine = { ["X-Vault-Token"] = "%(token)s" }
local writing = { ["X-Vault-Token"] = "%(token)s", ["Content-Type"] = "application/json" }
function init(args)
  for k = 0, %(keys)d - 1 do
    local path = "/v1/kv/data/app/key" .. k
    reads[k] = wrk.format("GET", path, mine)
    writes[k] = wrk.format("POST", path, writing, [[%(body)s]])
  end
  lookup = wrk.format("GET", "/v1/auth/token/lookup-self", mine)
  login = wrk.format("POST", "/v1/auth/approle/login", json, [[%(login)s]])
end
function request()
  turn = turn + 1
  n = (n * 421 + 1663) %% %(keys)d
  return %(action)s
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Result:
    """One scenario at one server. Latencies are in milliseconds, from wrk, closed loop."""

    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    requests: int


def prepare(server: Server) -> str:
    """Mount KV v2, write the keys, and make the application's token: one policy and default, an orphan."""
    server.must("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
    _until_upgraded(server)
    server.must("PUT", "sys/policies/acl/app", {"policy": POLICY})
    token = server.must(
        "POST", "auth/token/create-orphan", {"policies": ["app"], "ttl": "24h", "display_name": "approle"}
    )
    write_keys(server, (f"app/key{n}" for n in range(KEYS)))
    return str(token["auth"]["client_token"])


def prepare_login(server: Server) -> str:
    """Enable approle, make a role with a policy and a secret id without limits, and return the body of its logins."""
    server.must("POST", "sys/auth/approle", {"type": "approle"})
    server.must("POST", "auth/approle/role/app", {"token_policies": ["app"], "token_ttl": "1h"})
    role = server.must("GET", "auth/approle/role/app/role-id")["data"]["role_id"]
    secret = server.must("POST", "auth/approle/role/app/secret-id", {})["data"]["secret_id"]
    return json.dumps({"role_id": role, "secret_id": secret})


def _until_upgraded(server: Server) -> None:
    """A fresh KV v2 mount may answer 400 while it sets itself up."""
    for _ in range(200):
        status, _answer = server.call("POST", "kv/data/warm", {"data": VALUE})
        if status == 200:
            return
    raise BenchFailed(f"{server.name}: the KV mount does not come up")


def write_keys(server: Server, names: Iterable[str], threads: int = 8) -> None:
    """Write the value at every name, a few at a time."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda name: server.must("POST", f"kv/data/{name}", {"data": VALUE}), names):
            pass


def measure(
    server: Server,
    scenario: str,
    token: str,
    seconds: int,
    connections: int = CONNECTIONS,
    *,
    login: str = "",
) -> Result:
    """Run one scenario under wrk; any answer but 2xx fails the run. ``login`` is the body that logins send."""
    script = server.folder / "wrk.lua"
    script.write_text(
        SCRIPT
        % {
            "keys": KEYS,
            "body": json.dumps({"data": VALUE}),
            "token": token,
            "login": login,
            "action": SCENARIOS[scenario],
        }
    )
    output = _wrk(server, script, seconds, connections)
    match = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", output, re.M)
    if match is None:
        raise BenchFailed(f"wrk said nothing usable:\n{output}")
    requests, micros, p50, p99, worst, refused, broken = map(int, match.groups())
    if refused or broken:
        raise BenchFailed(
            f"{server.name}, {scenario}: {refused} answers were errors, {broken} broke off, of {requests}"
        )
    return Result(requests / (micros / 1e6), p50 / 1e3, p99 / 1e3, worst / 1e3, requests)


def _wrk(server: Server, script: Path, seconds: int, connections: int) -> str:
    command = [
        "wrk",
        f"-t{THREADS}",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout=10s",
        f"-s{script}",
        server.address,
    ]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except FileNotFoundError:
        raise BenchFailed("wrk is not installed: apt-get install wrk") from None
    except subprocess.CalledProcessError as error:
        raise BenchFailed(f"wrk failed: {error.stderr}") from None
