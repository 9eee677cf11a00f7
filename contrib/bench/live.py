"""A million live leases: what do they cost a server that nobody asks anything?

``python -m contrib.bench.live [--only ours|peer] [--leases 1000000] [--seconds 10] [--publish]``

The leases are those of tokens, made by approle logins. Measured with few leases and again with all of them: logins a
second, the processor time that the idle server takes (its ticks) and its memory; then the server is stopped, started
again on the full store and unsealed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from contrib.bench.leases import PREFIX, Deadline, fill
from contrib.bench.load import measure, prepare, prepare_login
from contrib.bench.publish import publish
from contrib.bench.run import machine
from contrib.bench.servers import BenchFailed, Server, launch, running, unseal

FEW = 20_000
QUIET_SECONDS = 10
"""After a load: ours collects its garbage then, once."""

TTL = "24h"
"""No lease ends while it is measured what it costs to have it."""


@dataclass(frozen=True)
class Stage:
    """A server with so many leases. ``idle`` is the processor time it takes, as a part of one core."""

    leases: int
    logins: float
    idle: float
    mib: float


def processor_seconds(server: Server) -> float:
    """What all processes of the server have taken so far."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                if os.getpgid(int(entry.name)) == server.process.pid:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def stage(server: Server, login: str, made: int, seconds: int) -> Stage:
    """Measure a server as it is. The logins that are measured add a few leases."""
    logins = measure(server, "approle login", "", seconds, login=login)
    time.sleep(QUIET_SECONDS)
    before = processor_seconds(server)
    time.sleep(seconds)
    idle = (processor_seconds(server) - before) / seconds
    return Stage(made + logins.requests, logins.rate, idle, server.resident_mib())


def bench(name: str, folder: Path, options: argparse.Namespace) -> tuple[list[Stage], float]:
    """One server with few leases and with all, and the seconds that its last share takes to open it."""
    with running(name, folder, options.workers) as server:
        prepare(server)
        login = prepare_login(server)
        server.must("POST", "auth/approle/role/app", {"token_ttl": TTL})
        deadline = Deadline(name, options.limit)
        made, _ = fill(server, login, min(FEW, options.leases), deadline)
        stages = [stage(server, login, made, options.seconds)]
        if options.leases > stages[0].leases:
            more, _ = fill(server, login, options.leases - stages[0].leases, deadline)
            stages.append(stage(server, login, stages[0].leases + more, options.seconds))
        keys, root = server.keys, server.root
    again = launch(name, folder, options.workers)
    try:
        again.keys, again.root = keys, root
        seconds = unseal(again)
        again.must("GET", f"sys/leases/lookup/{PREFIX}/?list=true&limit=1")
    finally:
        again.stop()
    return stages, seconds


def table(name: str, stages: list[Stage], unsealed: float) -> str:
    """The result as a Markdown table."""
    lines = [
        "| server | leases | logins/s | processor when idle | MiB | unseal s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for at, found in enumerate(stages):
        last = f"{unsealed:.3f}" if at == len(stages) - 1 else ""
        lines.append(
            f"| {name} | {found.leases:,} | {found.logins:,.0f} | {found.idle:.1%} | {found.mib:.0f} | {last} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the table, and fail if anything went wrong (not if it was slow)."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bench.live")
    parser.add_argument("--only", choices=("ours", "peer"), default="ours")
    parser.add_argument("--leases", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=1800, help="seconds it may take to make the leases")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    options = parser.parse_args(argv)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            stages, seconds = bench(options.only, Path(folder) / options.only, options)
        except BenchFailed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    report = f"{where}\n\n{table(options.only, stages, seconds)}"
    print(report)
    if options.publish:
        publish("live", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
