"""The comparison: five loads, ours against OpenBao, as one table.

Run it with ``make bench`` or ``python -m contrib.bench [--only ours|peer] [--seconds N] [--rounds N] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from contrib.bench.load import CONNECTIONS, KEYS, SCENARIOS, Result, measure, prepare, prepare_login
from contrib.bench.publish import publish
from contrib.bench.servers import BenchFailed, Server, running

# What the product promises: our rate as a multiple of the peer's.
REQUIRED = {"KV v2 read": 5, "KV v2 write": 5, "90/10 mix": 5, "token lookup-self": 4, "approle login": 4}


def compare(
    servers: dict[str, Server], seconds: int, rounds: int
) -> tuple[dict[str, dict[str, Result]], dict[str, float]]:
    """Every load at every server, in turns: for each the round with the median rate. And their memory afterwards in MiB.

    All servers stand side by side, idle but for the one that is asked: what the machine's neighbours do to one round,
    they do to both.
    """
    tokens = {name: prepare(server) for name, server in servers.items()}
    logins = {name: prepare_login(server) for name, server in servers.items()}
    for name, server in servers.items():
        measure(server, "KV v2 read", tokens[name], 1)  # warm caches and connections on both alike
    results: dict[str, dict[str, Result]] = {name: {} for name in servers}
    for scenario in SCENARIOS:
        found: dict[str, list[Result]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                os.sync()  # what another server has still to write is not this one's to wait for
                found[name].append(measure(server, scenario, tokens[name], seconds, login=logins[name]))
        for name, measured in found.items():
            results[name][scenario] = sorted(measured, key=lambda result: result.rate)[len(measured) // 2]
    return results, {name: server.resident_mib() for name, server in servers.items()}


def table(results: dict[str, dict[str, Result]]) -> str:
    """The results as a Markdown table, with the ratio where both were measured."""
    lines = [
        "| load | server | requests/s | p50 ms | p99 ms | max ms | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for scenario in SCENARIOS:
        for name, measured in results.items():
            r = measured[scenario]
            ratio = ""
            if name == "ours" and "peer" in results:
                ratio = f"{r.rate / results['peer'][scenario].rate:.1f}x (wanted {REQUIRED[scenario]}x)"
            lines.append(
                f"| {scenario} | {name} | {r.rate:,.0f} | {r.p50_ms:.2f} | {r.p99_ms:.2f} | {r.max_ms:.0f} | {ratio} |"
            )
    return "\n".join(lines)


def machine() -> str:
    """The machine in one line: processor, cores, memory, kernel, Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()} ({python_build()}); load average before: {load:.1f}"
    )


def python_build() -> str:
    """How the interpreter is linked: one built as a shared library, without a profile, costs about a fifth of our rates."""
    return "shared library" if "libpython" in Path("/proc/self/maps").read_text() else "static"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contrib.bench", description=__doc__)
    parser.add_argument("--only", choices=("ours", "peer"), help="measure one server only")
    parser.add_argument("--seconds", type=int, default=5, help="length of each round of a load (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is run (default 3)")
    parser.add_argument("--workers", type=int, help="our workers (default: one per core)")
    parser.add_argument(
        "--folder", type=Path, help="where the servers keep their data (default: a temporary folder)"
    )
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, and fail if anything went wrong (not if it was slow)."""
    options = arguments(argv)
    names = [options.only] if options.only else ["peer", "ours"]
    where = machine()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder, ExitStack() as stack:
            servers = {
                name: stack.enter_context(running(name, Path(folder) / name, options.workers))
                for name in names
            }
            results, memory = compare(servers, options.seconds, options.rounds)
    except BenchFailed as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 1
    report = (
        f"{where}\n\nwrk, {CONNECTIONS} connections, {KEYS:,} keys, an application token; in turns, {options.rounds} times "
        f"{options.seconds} s each, of which the round with the median rate\n\n"
        f"{table(results)}\n\n"
        "Memory after the run: " + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in memory.items()) + "."
    )
    print(report)
    if options.publish:
        publish("closed", report)
    if options.json:
        numbers = {name: {s: asdict(r) for s, r in measured.items()} for name, measured in results.items()}
        options.json.write_text(
            json.dumps({"machine": where, "results": numbers, "memory_mib": memory}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
