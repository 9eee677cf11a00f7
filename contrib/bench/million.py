"""A store of a million keys: does reading slow down, and how long does the last share take to open it?

``python -m contrib.bench.million [--only ours|peer] [--keys 1000000]``

Reads of 1,000 keys are measured at two servers: one whose store holds nothing else, and one whose store was filled. They take
turns of a second, each as often before the other as after it, and each pair is compared: a machine's moods last longer.
Then the full one is stopped, started again and unsealed, and the turns are taken again. Filling takes minutes: the keys are written over the API, like anyone's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from contrib.bench.load import KEYS, VALUE, measure, prepare
from contrib.bench.publish import publish
from contrib.bench.run import machine
from contrib.bench.servers import BenchFailed, Server, launch, running, unseal

ROUNDS = 24
"""Pairs of turns."""

FILL = """
local counter = 1
local me = 0
function setup(thread) thread:set("me", counter); counter = counter + 1 end
local n = 0
wrk.headers = { ["X-Vault-Token"] = "%(token)s", ["Content-Type"] = "application/json" }
wrk.method = "POST"
wrk.body = [[%(body)s]]
function request()
  n = n + 1
  return wrk.format(nil, "/v1/kv/data/app/round%(round)d/" .. me .. "/" .. (n %% 1000) .. "/" .. n)
end
"""


def fill(server: Server, token: str, keys: int) -> int:
    """Write about ``keys`` further secrets with wrk; how many were acknowledged."""
    script = server.folder / "fill.lua"
    written, started = 0, time.monotonic()
    while written < keys:
        seconds = (
            5
            if not written
            else max(1, min(60, int((keys - written) * (time.monotonic() - started) / written)))
        )
        # A folder of its own for each round, so that no round writes a key again.
        script.write_text(FILL % {"token": token, "body": json.dumps({"data": VALUE}), "round": written})
        output = subprocess.run(
            ["wrk", "-t2", "-c64", f"-d{seconds}s", "--timeout=30s", f"-s{script}", server.address],
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
        if "Non-2xx" in output:
            raise BenchFailed(f"{server.name}: writing failed\n{output}")
        written += int(next(line.split()[0] for line in output.splitlines() if "requests in" in line))
        print(f"  {server.name}: {written:,} keys", file=sys.stderr)
    return written


def bench(name: str, folder: Path, options: argparse.Namespace) -> str:
    """One server's row of the table."""
    with running(name, folder / "small", options.workers) as small:
        of_small = prepare(small)
        with running(name, folder / "large", options.workers) as large:
            of_large = prepare(large)
            written = fill(large, of_large, options.keys - KEYS)
            right_after = in_turns((small, of_small), (large, of_large))
            memory = large.resident_mib()
            keys, root = large.keys, large.root
        again = launch(name, folder / "large", options.workers)
        try:
            again.keys, again.root = keys, root
            seconds = unseal(again)
            restarted = in_turns((small, of_small), (again, of_large))
        finally:
            again.stop()
    return f"| {name} | {written + KEYS:,} | {right_after.told()} | {restarted.told()} | {seconds:.3f} | {memory:.0f} |"


@dataclass(frozen=True)
class Turns:
    """Reads a second at two servers, pair by pair."""

    small: list[float]
    large: list[float]

    def told(self) -> str:
        """Three cells: the median rate of each, and the median of the pairs' changes."""
        changes = [(large / small - 1) * 100 for small, large in zip(self.small, self.large, strict=True)]
        return f"{median(self.small):,.0f} | {median(self.large):,.0f} | {median(changes):+.1f} %"


def in_turns(small: tuple[Server, str], large: tuple[Server, str]) -> Turns:
    """Measure reads at both servers, turn by turn; who goes first changes with every pair."""
    turns = Turns([], [])
    sides = [(small, turns.small), (large, turns.large)]
    for (server, token), _ in sides:
        measure(server, "KV v2 read", token, 1)
    for _ in range(ROUNDS):
        for (server, token), found in sides:
            found.append(measure(server, "KV v2 read", token, 1).rate)
        sides.reverse()
    return turns


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bench.million")
    parser.add_argument("--only", choices=("ours", "peer"), default="ours")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    options = parser.parse_args(argv)
    lines = [
        f"{machine()}\n",
        "| server | keys | reads/s, small store | reads/s, full store | change | small, later | full, after a restart | change | unseal s | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            lines.append(bench(options.only, Path(folder) / options.only, options))
        except BenchFailed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    print("\n".join(lines))
    if options.publish:
        publish("million", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
