"""``broker agent`` at a real server: a program that always finds a good token in a file."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import BROKER

PROGRAM = """
import os, signal, sys
from pathlib import Path
sink, seen = Path(os.environ["BROKER_TOKEN_FILE"]), Path(sys.argv[1])
assert "BROKER_TOKEN" not in os.environ
def note(*_):
    with seen.open("a") as file:
        file.write(sink.read_text() + "\\n")
signal.signal(signal.SIGHUP, note)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
note()
while True:
    signal.pause()
"""


@pytest.fixture
def machine(own):
    """Our server with a role whose tokens live two seconds, and four at most; its ids lie in files."""
    made = own.broker("operator", "init", "-n=1", "-t=1", "-format=json").json
    own.token = made["root_token"]
    assert own.broker("operator", "unseal", "-", stdin=made["unseal_keys_mnemonic"][0]).code == 0
    for words in (
        ["auth", "enable", "approle"],
        ["write", "auth/approle/role/app", "token_ttl=2", "token_max_ttl=4"],
    ):
        assert own.broker(*words).code == 0
    role = own.broker("read", "-field=role_id", "auth/approle/role/app/role-id").out
    secret = own.broker("write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id").out
    (own.home / "role.id").write_text(role.strip())
    (own.home / "secret.id").write_text(secret.strip())
    own.token = ""
    return own


def agent(server, *words):
    return subprocess.Popen(
        [str(BROKER), "agent", *words], env=server.env(), cwd=server.home, stderr=subprocess.PIPE, text=True
    )


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_program_is_started_with_a_token_and_told_of_the_next_one(machine):
    sink, seen = machine.home / "token", machine.home / "seen"
    ids = ("role_id=@role.id", "secret_id=@secret.id")
    program = ("--", sys.executable, "-c", PROGRAM, str(seen))
    process = agent(machine, "-method=approle", f"-sink={sink}", "-signal=HUP", *ids, *program)
    until(lambda: seen.exists() and len(set(seen.read_text().split())) >= 2)
    assert stat.S_IMODE(sink.stat().st_mode) == 0o600
    newest = sink.read_text()
    assert machine.broker("token", "lookup", BROKER_TOKEN=newest).code == 0
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=20)[1]
    assert process.returncode == 7  # the program's own
    assert "token obtained, expires_at=" in log
    assert "token renewed, expires_at=" in log
    assert not any(token in log for token in seen.read_text().split())


def test_a_token_that_cannot_be_had_again_is_kept_to_its_end(machine):
    login = ["write", "-field=token", "auth/approle/login", "role_id=@role.id", "secret_id=@secret.id"]
    token = machine.broker(*login).out.strip()
    machine.token = token
    process = agent(machine, f"-sink={machine.home}/token")
    log = process.communicate(timeout=30)[1]
    assert process.returncode == 2
    assert "token renewed" in log
    assert "no way to log in again" in log
    machine.token = ""
    assert machine.broker("token", "lookup", BROKER_TOKEN=token).code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-method=approle"], "-sink=FILE is needed"),
        (["-sink=t"], "-method=... is needed"),
        (["-method=approle", "-sink=t", "-signal=LOUD"], "unknown signal LOUD"),
    ],
)
def test_what_is_missing_is_said_at_once(own, words, says):
    done = own.broker("agent", *words)
    assert done.code == 1
    assert says in done.err
    assert not os.path.exists(own.home / "t")
