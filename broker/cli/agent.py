"""``broker agent``: keeps a token alive in a file, for a program that it may start and signal.

The token goes into files (mode 0600) and never into an argument or an environment variable: both stay readable to
others for as long as the program runs, and neither could be changed when the token is.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.login import log_in
from broker.cli.tokenfile import write_private
from broker.client import Change, Client, LifetimeWatcher, Reply

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def agent(run: Invocation) -> int:
    """Log in, keep the token alive, and hand it to a program."""
    at = run.given.ended_at
    command = [] if at is None else run.rest[at:]
    del run.rest[len(run.rest) if at is None else at :]  # what is left is the login's
    number = _signal(run.given.text("signal"))
    sinks = [Path(path) for path in run.given.texts("sink")]
    if not sinks:
        raise UsageError("-sink=FILE is needed: where the token is to be kept")
    if run.given.text("method") is None and run.token is None:
        raise UsageError("-method=... is needed, or a token to renew")
    program = _Program(command, sinks[0], number)

    def told(change: Change) -> None:
        if change.secret is not None:
            _write(sinks, change.secret)
            program.start_or_signal()
        print(_line(change), file=sys.stderr, flush=True)

    stop = threading.Event()
    with run.doing("keeping the token alive"), _stopped_by(stop, program.pass_on), program.ending(stop):
        _watch(run, told, stop)
    if program.code is None and not stop.is_set():
        raise Failure("the token has ended, and there is no way to log in again")
    return program.code or 0


def _watch(run: Invocation, told: Callable[[Change], None], stop: threading.Event) -> None:
    method, increment = run.given.text("method"), run.given.number("increment") or 0
    if method is not None:
        obtain = _login_by(run, method.lower())
        with run.new_client(None) as client:
            LifetimeWatcher(client, obtain=obtain, told=told, increment_seconds=increment).run(stop)
        return
    with run.new_client(run.token) as client:
        LifetimeWatcher(client, _own_token(client), told=told, increment_seconds=increment).run(stop)


def _login_by(run: Invocation, method: str) -> Callable[[Client], Reply]:
    # Each login reads its files again, so a rotated secret id or service account token is picked up.
    return lambda client: log_in(run, method)


def _own_token(client: Client) -> Reply:
    """Describe the token in use as a login would, which is what the watcher begins from."""
    found = client.request("GET", "auth/token/lookup-self")
    token = "" if client.token is None else client.token.reveal()
    auth = {
        "client_token": token,
        "lease_duration": found.data.get("ttl") or 0,
        "renewable": bool(found.data.get("renewable")),
    }
    return Reply(found.status, {"auth": auth}, found.headers)


class _Program:
    """The program that the token is for, if there is one: started with the first token, signalled at each new one."""

    def __init__(self, command: list[str], sink: Path, number: signal.Signals | None) -> None:
        self._command = command
        self._sink = sink
        self._signal = number
        self._process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None

    def start_or_signal(self) -> None:
        """Start the program; if it runs, tell it that the token in the file is another."""
        if not self._command:
            return
        if self._process is None:
            environment = {**os.environ, "BROKER_TOKEN_FILE": str(self._sink)}
            for name in ("BROKER_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"):
                environment.pop(name, None)  # an old token there would win over the file
            try:
                self._process = subprocess.Popen(self._command, env=environment)  # noqa: S603 - the operator's own
            except OSError as error:
                raise Failure(f"cannot start {self._command[0]}: {error.strerror}", 1) from None
        elif self._signal is not None and self._process.poll() is None:
            self._process.send_signal(self._signal)

    def pass_on(self, number: int) -> None:
        """Hand a signal on to the program."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    @contextmanager
    def ending(self, stop: threading.Event) -> Iterator[None]:
        """Set ``stop`` when the program ends; afterwards wait for it."""
        watcher = threading.Thread(target=self._await_end, args=(stop,), daemon=True)
        if self._command:
            watcher.start()
        try:
            yield
        finally:
            if self._process is not None:
                if not stop.is_set():
                    self._process.terminate()  # its token is over
                code = self._process.wait()
                self.code = code if code >= 0 else 128 - code

    def _await_end(self, stop: threading.Event) -> None:
        while not stop.wait(0.2):
            if self._process is not None and self._process.poll() is not None:
                stop.set()


def _signal(name: str | None) -> signal.Signals | None:
    if name is None:
        return None
    try:
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError:
        raise UsageError(f"unknown signal {name}; expected a name such as HUP or USR1") from None


def _write(sinks: list[Path], secret: Reply) -> None:
    token = str((secret.auth or {}).get("client_token") or "")
    if not token:
        raise Failure("the server's answer holds no token: -wrap-ttl has no place here")
    for sink in sinks:
        try:
            write_private(sink, token)
        except OSError as error:
            raise Failure(f"cannot write {sink}: {error.strerror}", 1) from None


def _line(change: Change) -> str:
    """One line for the log.

    >>> _line(Change("renewed", 0.0))
    'token renewed, expires_at=1970-01-01T00:00:00Z'
    """
    forever = change.expires_at == float("inf")
    until = "never" if forever else datetime.fromtimestamp(change.expires_at, UTC).strftime("%FT%TZ")
    because = f": {change.reason}" if change.reason else ""
    warned = "".join(f"; {warning}" for warning in change.warnings)
    return f"token {change.kind}{because}, expires_at={until}{warned}"


@contextmanager
def _stopped_by(stop: threading.Event, pass_on: Callable[[int], None]) -> Iterator[None]:
    def received(number: int, frame: FrameType | None) -> None:
        pass_on(number)
        if number != signal.SIGHUP:
            stop.set()

    before = {number: signal.signal(number, received) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


AGENT = Command(
    agent,
    "agent [options] [K=V...] [-- COMMAND [ARGS...]]",
    "Log in, keep the token in a file, renew it at two thirds of its life, log in again before it ends.\n\n"
    "    broker agent -method=approle -sink=/run/app/token role_id=@role.id secret_id=@secret.id\n"
    "    broker agent -method=kubernetes -sink=token -signal=HUP role=app jwt=@/var/run/... -- ./server\n\n"
    "Without -method, the token in use is renewed until it cannot be any more. The command is started once there is\n"
    "a token, finds it in $BROKER_TOKEN_FILE, and is signalled whenever it is another one. The agent ends with it.",
    (
        Flag("increment", "How many seconds each renewal asks for.", "number"),
        Flag("method", "Auth method to log in by, as with broker login."),
        Flag("path", "Where the method is mounted; its type's name if left out."),
        Flag("signal", "What the command gets when the token is another one, such as HUP."),
        Flag("sink", "File to keep the token in, readable by its owner only; may be repeated.", "texts"),
    ),
    (0, None),
    shows="text",
)

__all__ = ["AGENT", "agent"]
