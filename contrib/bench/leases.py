"""Many leases at once: how fast are they made, how fast does a prefix revoke them all, and who notices?

Run it with ``python -m contrib.bench.leases [--only ours|peer] [--leases 2000] [--seconds 3] [--limit 300] [--publish]``.

The leases are those of tokens, made by approle logins under wrk, for both servers have these without anything outside.
Then ``sys/leases/revoke-prefix`` is asked for all of them while wrk reads KV v2 without a pause. Told are the reads in the
windows that lie wholly within the revocation, as a part of the idle rate. A server that has not revoked all within
``--limit`` seconds is stopped there, and told is how many it had. The full measurement takes ``--leases 100000 --seconds 5``
and a quiet machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any

from contrib.bench.load import measure, prepare, prepare_login
from contrib.bench.publish import publish
from contrib.bench.run import machine
from contrib.bench.servers import BenchFailed, Server, running

PREFIX = "auth/approle/login"
FINISHED = 404
READERS = 8
"""Connections that read. OpenBao queues the leases of a prefix one after the other: with many readers that takes minutes."""
FILL_SECONDS = 1800
"""How long the rest may take, which is mostly making the leases."""

PATIENCE = 600
TELL_SECONDS = 60
"""Between progress lines of a revocation; each costs the server a listing of all that is left."""


@dataclass(frozen=True)
class Row:
    """One server's measurement. Rates are per second; ``idle`` and ``busy`` are those of reads."""

    leases: int
    made: float
    gone: int
    revoke_seconds: float
    idle: float
    busy: float
    mib: float

    @property
    def revoked(self) -> float:
        return self.gone / self.revoke_seconds


class Deadline:
    """How long one server may take in all; it says on stderr what is going on."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._began = time.monotonic()

    def check(self, doing: str) -> None:
        """Raises: BenchFailed if the time is over."""
        if time.monotonic() - self._began > self._seconds:
            raise BenchFailed(f"not done within {self._seconds:.0f} s, while {doing}")

    def say(self, doing: str) -> None:
        print(f"  {self._name} +{time.monotonic() - self._began:.0f}s: {doing}", file=sys.stderr, flush=True)
        self.check(doing)


def fill(server: Server, login: str, leases: int, deadline: Deadline) -> tuple[int, float]:
    """Log in at least ``leases`` times. Returns how often, and how often in a second."""
    made, seconds = 0, 0.0
    while made < leases:
        rate = made / seconds if seconds else 500
        planned = max(1, min(30, math.ceil((leases - made) / rate)))
        done = measure(server, "approle login", "", planned, login=login)
        if not done.requests:
            raise BenchFailed(f"no login was answered within {planned} s")
        made += done.requests
        seconds += done.requests / done.rate
        deadline.say(f"{made:,} of {leases:,} leases made")
    return made, made / seconds


def revoke(server: Server, leases: int, limit: float, deadline: Deadline) -> tuple[int, float]:
    """Revoke them all and wait until none is listed, or for ``limit`` seconds. Returns how many went, in how many seconds."""
    started = told = time.monotonic()
    # OpenBao answers when it has queued all of them, which may take longer than we look on.
    asking = Thread(target=_ask, args=(server, limit), daemon=True)
    asking.start()
    while True:
        try:
            status, answer = server.call(
                "GET", f"sys/leases/lookup/{PREFIX}/?list=true&limit=1", timeout=limit
            )
        except TimeoutError:
            status, answer = 200, None  # too busy to say: not done, then
        if status not in (200, FINISHED):
            raise BenchFailed(f"listing leases answered {status}: {answer}")
        # OpenBao answers a page of an empty list with 200 and no keys, the whole of it with 404.
        took = time.monotonic() - started
        if status == FINISHED or (answer is not None and not _keys(answer) and not _left(server)):
            return leases, took
        if took > limit:
            return leases - _left(server), took
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            deadline.say(f"{_left(server):,} leases left")
        time.sleep(0.25)


def _ask(server: Server, limit: float) -> None:
    with suppress(OSError, HTTPException):
        server.call("PUT", f"sys/leases/revoke-prefix/{PREFIX}", {"sync": False}, timeout=limit + PATIENCE)


def _left(server: Server) -> int:
    """Count what is still listed: all at once, so not often."""
    return len(_keys(server.call("GET", f"sys/leases/lookup/{PREFIX}/?list=true", timeout=PATIENCE)[1]))


def _keys(answer: Any) -> list[str]:
    return ((answer or {}).get("data") or {}).get("keys") or []


def reads_meanwhile(server: Server, token: str, work: Future[tuple[int, float]]) -> list[float]:
    """Read as long as ``work`` goes on. Returns the rates of the windows that it outlasted, at least one."""
    rates: list[float] = []
    while not work.done():
        rate = measure(server, "KV v2 read", token, 1, READERS).rate
        if not work.done() or not rates:
            rates.append(rate)
    return rates or [measure(server, "KV v2 read", token, 1, READERS).rate]


def bench(name: str, folder: Path, options: argparse.Namespace) -> Row:
    """Measure one server. Raises: BenchFailed, which names it."""
    deadline = Deadline(name, FILL_SECONDS)
    deadline.say("starting")
    try:
        # The server ends before the pool does, so that a revocation under way cannot hold up a run that failed.
        with ThreadPoolExecutor(1) as pool, running(name, folder, options.workers) as server:
            return _bench(server, pool, options, deadline)
    except (BenchFailed, OSError, HTTPException) as failure:
        raise BenchFailed(f"{name}: {failure or type(failure).__name__}") from failure


def _bench(server: Server, pool: ThreadPoolExecutor, options: argparse.Namespace, deadline: Deadline) -> Row:
    token = prepare(server)
    login = prepare_login(server)
    measure(server, "KV v2 read", token, 1, READERS)
    made, rate = fill(server, login, options.leases, deadline)
    memory = server.resident_mib()
    time.sleep(2)
    idle = measure(server, "KV v2 read", token, options.seconds, READERS)
    deadline.say("revoking")
    limit = options.peer_limit if server.name == "peer" and options.peer_limit else options.limit
    work = pool.submit(revoke, server, made, limit, Deadline(server.name, math.inf))
    busy = statistics.mean(reads_meanwhile(server, token, work))
    gone, seconds = work.result()
    deadline.say(f"{gone:,} revoked in {seconds:.1f} s")
    return Row(made, rate, gone, seconds, idle.rate, busy, memory)


def table(rows: dict[str, Row]) -> str:
    """The results as a Markdown table; ours with ratios where both were measured."""
    lines = [
        "| server | leases | made/s | revoked | in s | revoked/s | reads/s idle | reads/s meanwhile | of idle | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        peer = rows.get("peer") if name == "ours" else None
        made, revoked, idle, busy = (
            f"{getattr(row, rate):,.0f}"
            + (f" ({getattr(row, rate) / getattr(peer, rate):.1f}x)" if peer else "")
            for rate in ("made", "revoked", "idle", "busy")
        )
        lines.append(
            f"| {name} | {row.leases:,} | {made} | {row.gone:,} | {row.revoke_seconds:.1f} | {revoked} | {idle} "
            f"| {busy} | {row.busy / row.idle:.0%} | {row.mib:.0f} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the table, and fail if anything went wrong (not if it was slow)."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bench.leases", description=__doc__)
    parser.add_argument("--only", choices=("ours", "peer"), help="measure one server only")
    parser.add_argument("--leases", type=int, default=2000, help="leases to make and revoke (default 2000)")
    parser.add_argument("--seconds", type=int, default=3, help="length of the idle reads (default 3)")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds that each server may take to revoke (default 300)"
    )
    parser.add_argument("--peer-limit", type=float, help="the same for the peer alone")
    parser.add_argument("--workers", type=int, help="our workers (default: one per core)")
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    options = parser.parse_args(argv)
    where, rows = machine(), dict[str, Row]()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in (options.only,) if options.only else ("peer", "ours"):
            try:
                rows[name] = bench(name, Path(folder) / name, options)
            except BenchFailed as failure:
                print(f"failed: {failure}", file=sys.stderr)
                return 1
    report = f"{where}\n\n{table(rows)}"
    print(report)
    if options.publish:
        publish("leases", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
