"""Many leases at once: how fast are they made, how fast does a prefix revoke them all, and who notices?

``python -m contrib.bench.leases [--only ours|peer] [--leases 2000] [--seconds 3]``

The leases are those of tokens, made by approle logins under wrk, for both servers have these without anything outside.
Then ``sys/leases/revoke-prefix`` is asked for all of them while wrk reads KV v2 without a pause. Told are the reads in the
windows that lie wholly within the revocation, as a part of the idle rate. The full measurement takes
``--leases 100000 --seconds 5`` and a quiet machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from contrib.bench.load import measure, prepare, prepare_login
from contrib.bench.publish import publish
from contrib.bench.run import machine
from contrib.bench.servers import BenchFailed, Server, running

PREFIX = "auth/approle/login"
FINISHED = 404
LONGEST_SECONDS = 900


def fill(server: Server, login: str, leases: int) -> tuple[int, float]:
    """Log in at least ``leases`` times. Returns how often, and how often in a second."""
    made, seconds = 0, 0.0
    while made < leases:
        rate = made / seconds if seconds else 500
        planned = max(1, min(30, math.ceil((leases - made) / rate)))
        done = measure(server, "approle login", "", planned, login=login)
        made += done.requests
        seconds += done.requests / done.rate
        print(f"  {server.name}: {made:,} leases", file=sys.stderr)
    return made, made / seconds


def revoke(server: Server) -> float:
    """Revoke them all and wait until none is listed. Returns the seconds it took."""
    started = time.monotonic()
    server.must("PUT", f"sys/leases/revoke-prefix/{PREFIX}", {"sync": False})
    while True:
        status, answer = server.call("GET", f"sys/leases/lookup/{PREFIX}/?list=true&limit=1")
        if status == FINISHED:
            return time.monotonic() - started
        if status != 200 or time.monotonic() - started > LONGEST_SECONDS:
            raise BenchFailed(f"{server.name}: {status} {answer}")
        time.sleep(0.25)


def reads_meanwhile(server: Server, token: str, work: Future[float]) -> list[float]:
    """Read as long as ``work`` goes on. Returns the rates of the windows that it outlasted, at least one."""
    rates: list[float] = []
    while not work.done():
        rate = measure(server, "KV v2 read", token, 1).rate
        if not work.done() or not rates:
            rates.append(rate)
    return rates or [measure(server, "KV v2 read", token, 1).rate]


def bench(name: str, folder: Path, options: argparse.Namespace) -> str:
    """One server's row of the table."""
    with running(name, folder, options.workers) as server, ThreadPoolExecutor(1) as pool:
        token = prepare(server)
        login = prepare_login(server)
        measure(server, "KV v2 read", token, 1)
        made, rate = fill(server, login, options.leases)
        memory = server.resident_mib()
        time.sleep(2)
        idle = measure(server, "KV v2 read", token, options.seconds)
        work = pool.submit(revoke, server)
        busy = statistics.mean(reads_meanwhile(server, token, work))
        seconds = work.result()
        return (
            f"| {name} | {made:,} | {rate:,.0f} | {seconds:.1f} | {made / seconds:,.0f} | {idle.rate:,.0f} "
            f"| {busy:,.0f} | {busy / idle.rate:.0%} | {memory:.0f} |"
        )


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bench.leases")
    parser.add_argument("--only", choices=("ours", "peer"))
    parser.add_argument("--leases", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    options = parser.parse_args(argv)
    lines = [
        f"{machine()}\n",
        "| server | leases | made/s | revoked in s | revoked/s | reads/s idle | reads/s meanwhile | | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in (options.only,) if options.only else ("ours", "peer"):
            try:
                lines.append(bench(name, Path(folder) / name, options))
            except BenchFailed as failure:
                print(f"failed: {failure}", file=sys.stderr)
                return 1
    print("\n".join(lines))
    if options.publish:
        publish("leases", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
