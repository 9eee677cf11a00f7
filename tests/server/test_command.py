"""``broker server``: its arguments, what it prints, and development mode."""

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from broker.server.command import main
from tests.server.conftest import wait_until

SCRIPT = Path(__file__).with_name("command_probe.py")


class Running:
    """One ``broker server`` process and what it has printed."""

    def __init__(self, *args, home):
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BROKER_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environment, "HOME": str(home)},
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    @property
    def text(self):
        return "".join(self.lines)

    def ready(self):
        wait_until(lambda: "worker 0 ready\n" in self.text or self.process.poll() is not None)
        assert self.process.poll() is None, self.text
        return self

    @property
    def address(self):
        return re.search(r"Listener 1: (\S+)", self.text)[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.reader.join(20)
        self.process.stdout.close()


@pytest.fixture
def run(tmp_path):
    running = []

    def start(*args):
        running.append(Running(*args, home=tmp_path))
        return running[-1]

    yield start
    for server in running:
        server.stop()


DEV = ("-dev", "-dev-listen-address=127.0.0.1:0", "-workers=1")


def ask(server, context=None):
    host = server.address.split("//")[1]
    if server.address.startswith("https:"):
        connection = http.client.HTTPSConnection(host, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", "/")
    try:
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_dev_mode_is_unsealed_and_prints_what_is_needed(run, tmp_path):
    server = run(*DEV, "-dev-root-token-id=root").ready()
    assert "Unseal Key: an-unseal-key\n" in server.text
    assert "Root Token: root\n" in server.text
    assert f"export VAULT_ADDR='{server.address}'\n" in server.text
    assert "Development mode should NOT be used in production installations!" in server.text
    assert ask(server)["root_key"] == b"inmem".ljust(32, b".").hex()
    kept = tmp_path / ".vault-token"
    assert kept.read_text() == "root"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_dev_mode_makes_a_token_and_keeps_none_if_told_so(run, tmp_path):
    server = run(*DEV, "-dev-no-store-token").ready()
    assert "Root Token: a-made-token\n" in server.text
    assert not (tmp_path / ".vault-token").exists()


def test_dev_tls_shows_a_certificate_that_verifies(run):
    server = run(*DEV, "-dev-tls", "-dev-no-store-token").ready()
    authority = re.search(r"VAULT_CACERT='(.+)'", server.text)[1]
    assert ask(server, ssl.create_default_context(cafile=authority))["scheme"] == "https"


def test_a_failed_bootstrap_ends_the_server(run):
    server = run(*DEV, "-dev-root-token-id=broken")
    assert server.process.wait(20) == 1
    server.reader.join(20)
    assert server.text.splitlines()[-1] == "Error: the development server could not be initialised"


@pytest.mark.parametrize("flag", ["-config={}", "--config={}"])
def test_a_configuration_is_summed_up_without_its_secrets(run, tmp_path, flag):
    config = tmp_path / "broker.hcl"
    config.write_text(
        'listener "tcp" { address = "127.0.0.1:0" tls_disable = true }\nstorage "pg" { password = "hunter2" }\n'
        'seal "awskms" { secret_key = "hunter2" }\naudit "file" "main" { options { file_path = "/log" } }\n'
        "disable_mlock = true\nworkers = 2\ncache_size = 5\n"
    )
    server = run(flag.format(config), "-workers", "1", "-log-level=info").ready()
    for fact in ("Storage: pg", "Seal: awskms", "Audit: main (file)", "Workers: 1", "tls: disabled"):
        assert fact in server.text
    assert "Without effect here: cache_size" in server.text
    assert "hunter2" not in server.text
    assert ask(server)["root_key"] is None, "sealed"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "expected -config=FILE or -dev"),
        (["-dev", "-config=x"], "-dev takes no -config"),
        (["-colour"], "unrecognized arguments: -colour"),
        (["-config"], "expected one argument"),
        (["-dev", "-workers=0"], "expected -workers to be 1 to 128"),
        (["-dev", "-dev-listen-address=nowhere"], "-dev-listen-address: expected host:port"),
        (["-config=/does/not/exist.hcl"], "/does/not/exist.hcl: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(capsys, args, expected):
    assert main(args) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ")
    assert expected in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
