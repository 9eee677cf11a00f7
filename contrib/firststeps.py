"""From nothing to a first secret: start a dev server, write a secret, read it back, say how to go on.

``make dev`` runs it and leaves the server running until Ctrl-C; ``make demo`` (``--once``) ends cleanly instead, with
exit status 0 only if the secret came back. The server listens on 127.0.0.1 only and keeps everything in memory.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

BROKER = Path(sys.executable).parent / "broker"
START_SECONDS = 20

GO_ON = """
The server goes on running here; Ctrl-C ends it and forgets everything. In another terminal:

    export BROKER_ADDR={address} BROKER_TOKEN=root
    {broker} kv put -mount=secret hello who=you
    {broker} status
    {broker} path-help secret

Every Vault client works too: set VAULT_ADDR={address} and VAULT_TOKEN=root.
The server's log: {log}
"""


@contextmanager
def dev_server(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A dev server in its own process group, ready to answer, ended at the end."""
    command = [str(BROKER), "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"]
    command.append(f"-dev-listen-address=127.0.0.1:{port}")
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_ready(server, port, log)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Poll the health path; a server that ends instead (the port is taken, say) ends this program with its log."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}/v1/sys/health", timeout=1):
            if server.poll() is None:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def say_and_run(address: str, *words: str) -> str:
    """Show a command as one would type it, run it, show and return what it says."""
    print(f"\n$ broker {' '.join(words)}", flush=True)
    environment = {**os.environ, "BROKER_ADDR": address, "BROKER_TOKEN": "root"}
    done = subprocess.run(
        [str(BROKER), *words],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    print((done.stdout + done.stderr).rstrip(), flush=True)
    if done.returncode:
        raise SystemExit(f"that ended with exit code {done.returncode}")
    return done.stdout.strip()


def main(argv: list[str] | None = None) -> int:
    """Run the steps; with ``--once`` stop afterwards, else wait for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m contrib.firststeps", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the server after the first secret")
    parser.add_argument("--port", type=int, default=8200, help="where to listen (default 8200)")
    options = parser.parse_args(argv)
    address = f"http://127.0.0.1:{options.port}"
    log = Path(tempfile.mkdtemp(prefix="broker-dev-")) / "server.log"
    with dev_server(options.port, log) as server:
        print(f"A dev server listens at {address}, unsealed, with the root token `root`.")
        say_and_run(address, "kv", "put", "-mount=secret", "hello", "who=world")
        if say_and_run(address, "kv", "get", "-mount=secret", "-field=who", "hello") != "world":
            raise SystemExit("the secret did not come back as it was written")
        print("\nYour first secret was written and read back.")
        if options.once:
            return 0
        print(GO_ON.format(address=address, broker=BROKER, log=log), flush=True)
        with suppress(KeyboardInterrupt):
            return server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
