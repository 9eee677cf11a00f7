"""Many idle connections at a steady rate: an open loop, so that a slow server cannot slow down the asking.

``python -m contrib.bench.openloop [--only ours|peer] [--connections 10000] [--rate 5000] [--seconds 10]``

Every connection is kept alive and reads one secret at its own phase of a common period. A request's latency counts
from the moment it was planned for, so waiting behind a slow answer is part of it. The client is one process on uvloop;
how late the client itself sent its requests is measured and printed beside the result, to know whom to blame.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import random
import resource
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from contrib.bench.load import KEYS, prepare
from contrib.bench.publish import publish
from contrib.bench.run import machine
from contrib.bench.servers import BenchFailed, running

CONNECT_AT_ONCE = 200


@dataclass
class Tally:
    """Latencies from the planned send time and lateness of sending, in seconds."""

    latencies: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    skipped: int = 0
    errors: int = 0


class Reader(asyncio.Protocol):
    """One keep-alive connection that reads one secret every ``period`` seconds."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request, self._tally = request, tally
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._planned: float | None = None
        self._buffer = b""
        self.period = 0.0
        self.end = 0.0
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports share no base class

    def begin(self, first: float, period: float, end: float) -> None:
        """Plan the first request; each request plans the next, answered or not."""
        self._due, self.period, self.end = first, period, end
        self._loop.call_at(first, self._tick)

    def _tick(self) -> None:
        planned, self._due = self._due, self._due + self.period
        if self._due < self.end:
            self._loop.call_at(self._due, self._tick)
        if self._planned is not None:
            self._tally.skipped += 1  # its latency is still running and will be counted once, in full
            return
        self._planned = planned
        self._tally.lateness.append(self._loop.time() - planned)
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not _complete(self._buffer) or self._planned is None:
            return
        self._tally.latencies.append(self._loop.time() - self._planned)
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._tally.errors += 1
        self._planned, self._buffer = None, b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._loop.time() < self.end:
            self._tally.errors += 1

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def waiting_since(self) -> float | None:
        return self._planned


def _complete(raw: bytes) -> bool:
    """Whether one whole HTTP/1.1 answer is there, by its length or its last chunk."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")


async def _drive(port: int, token: str, connections: int, rate: int, seconds: float) -> dict[str, Any]:
    loop, tally = asyncio.get_running_loop(), Tally()
    readers: list[Reader] = []
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def connect(number: int) -> None:
        request = (
            f"GET /v1/kv/data/app/key{number % KEYS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Vault-Token: {token}\r\n\r\n"
        ).encode()
        async with gate:
            _, reader = await loop.create_connection(lambda: Reader(request, tally), "127.0.0.1", port)
            readers.append(reader)

    await asyncio.gather(*(connect(number) for number in range(connections)))
    gc.collect()
    gc.freeze()
    gc.disable()
    period, start = connections / rate, loop.time() + 0.5
    phases = random.Random(1)
    for reader in readers:
        reader.begin(start + phases.random() * period, period, start + seconds)
    await asyncio.sleep(start + seconds - loop.time() + 0.5)
    unanswered = [
        loop.time() - reader.waiting_since for reader in readers if reader.waiting_since is not None
    ]
    tally.latencies.extend(unanswered)
    for reader in readers:
        reader.end = 0.0
        reader.close()
    return {
        "answers": len(tally.latencies) - len(unanswered),
        "unanswered": len(unanswered),
        "skipped": tally.skipped,
        "errors": tally.errors,
        "latencies_ms": _quantiles(tally.latencies),
        "lateness_ms": _quantiles(tally.lateness),
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [float("nan")]
    return {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
    }


def _client(queue: Any, *arguments: Any) -> None:
    """The client's process: raise the limit of open files, drive the load, hand back the numbers."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        queue.put(uvloop.run(_drive(*arguments)))
    except OSError as error:
        queue.put({"failed": str(error)})


def measure(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start one server, hold the load, return the numbers."""
    with running(name, folder, options.workers) as server:
        token = prepare(server)
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        arguments = (queue, server.port, token, options.connections, options.rate, options.seconds)
        client = context.Process(target=_client, args=arguments)
        client.start()
        result = queue.get(timeout=options.seconds + 120)
        client.join()
        if "failed" in result:
            raise BenchFailed(f"{name}: {result['failed']}")
        return dict(result) | {"memory_mib": server.resident_mib()}


def main(argv: list[str] | None = None) -> int:
    """Print one line for each server."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bench.openloop")
    parser.add_argument("--only", choices=("ours", "peer"))
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=5_000, help="requests a second, in all")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--publish", action="store_true", help="write the result into docs/performance.md")
    options = parser.parse_args(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = [
        f"{machine()}\n\n{options.connections:,} connections, {options.rate:,} reads/s in all, {options.seconds:g} s\n",
        "| server | answers | errors | skipped | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | client late p99 ms | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    failed = False
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in [options.only] if options.only else ["peer", "ours"]:
            try:
                r = measure(name, Path(folder) / name, options)
            except BenchFailed as failure:
                print(f"failed: {failure}", file=sys.stderr)
                failed = True
                continue
            figures = " | ".join(f"{value:.2f}" for value in r["latencies_ms"].values())
            lines.append(
                f"| {name} | {r['answers']:,} | {r['errors']} | {r['skipped']:,} | {figures} "
                f"| {r['lateness_ms']['p99']:.2f} | {r['memory_mib']:.0f} |"
            )
            failed = failed or (name == "ours" and r["errors"] > 0)
    print("\n".join(lines))
    if options.publish and not failed:
        publish("open", "\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
