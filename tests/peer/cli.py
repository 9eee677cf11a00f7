"""Run the same ``bao`` command against both servers; compare exit code and output after masking."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import pytest

from tests.fixtures.servers import BIN, clean_environment
from tests.peer.compare import MATCHED_BY_CLIENTS, OWN_KEYS, differences, masked
from tests.peer.script import fill, pick

# Rows of the tables whose values are a server's own.
OWN_ROWS = re.compile(
    r"^(token|token_accessor|accessor|id|Nonce|Version|Build Date|Cluster Name|Cluster ID|Storage Type|Root Token"
    r"|Unseal Key \d+|Initial Root Token|Key \d+|Encoded Token|OTP|OTP Length|Verification Nonce|Rekey Nonce|wrapping_token"
    r"|wrapping_accessor|Operation nonce|install_time|Install Time|Commit Date|HA Enabled|HA Cluster|encryption[_ ]count"
    r"|Encryption Count|Removed From Cluster)(:?\s).*$",
    re.IGNORECASE,
)
TICKS = re.compile(r"^(token_duration|ttl|creation_ttl|creation_time|lease_duration|token_period)(\s+).*$")
ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Cmd:
    """One command line. ``save`` reads names from JSON output; ``lines=False`` compares only the exit code."""

    words: tuple[str, ...]
    code: int = 0
    stdin: str = ""
    save: Mapping[str, str] = field(default_factory=dict)
    output: bool = True
    ignore: tuple[str, ...] = ()


def run(*words: str, **options: Any) -> Cmd:
    """A command: its words, then ``code=``, ``stdin=``, ``save=``, ``output=``, ``ignore=`` (rows or JSON paths)."""
    return Cmd(words, **options)


@dataclass
class Terminal:
    """A user's shell at one server."""

    address: str
    home: Path
    names: dict[str, Any]
    token: str | None = "root"

    def type(self, command: Cmd) -> tuple[int, str, str]:
        words = [str(fill(word, self.names)) for word in command.words]
        environment = {
            "BAO_ADDR": self.address,
            "HOME": str(self.home),
            "VAULT_CLI_NO_COLOR": "1",
            "BAO_CLI_NO_COLOR": "1",
        }
        token = self.names.get("token", self.token)
        if token:
            environment["BAO_TOKEN"] = token
        done = subprocess.run(
            [str(BIN / "bao"), *words],
            input=Template(command.stdin).safe_substitute(self.names),
            capture_output=True,
            text=True,
            timeout=90,
            env=clean_environment(**environment),
            check=False,
        )
        for name, dotted in command.save.items():
            try:
                self.names[name] = pick(json.loads(done.stdout), dotted)
            except (ValueError, KeyError, IndexError, TypeError):
                self.names[name] = f"no-{name}"
        return done.returncode, done.stdout, done.stderr


@dataclass
class Terminals:
    """Two shells, ours and the peer's."""

    ours: Terminal
    peer: Terminal

    def run(self, *commands: Cmd) -> None:
        """Type every command in both; fail with everything that differs."""
        complaints = []
        for number, command in enumerate(commands, 1):
            found = self._compare(command)
            if found:
                complaints.append(
                    f"command {number}: bao {' '.join(command.words)}\n"
                    + "\n".join(f"    {x}" for x in found)
                )
        if complaints:
            pytest.fail("\n".join(complaints), pytrace=False)

    def _compare(self, command: Cmd) -> list[str]:
        peer_code, peer_out, peer_err = self.peer.type(command)
        our_code, our_out, our_err = self.ours.type(command)
        found = []
        if peer_code != command.code:
            found.append(
                f"the peer's exit code is {peer_code}, the script says {command.code}: {peer_out}{peer_err}"
            )
        if our_code != peer_code:
            found.append(f"exit code {our_code}, the peer's {peer_code}: {our_out}{our_err}")
        elif command.output:
            found += _different(our_out, peer_out, command.ignore)
            if peer_code:
                found += _different(our_err, peer_err, command.ignore)
        return found


def _different(ours: str, peer: str, ignore: tuple[str, ...]) -> list[str]:
    try:
        parsed = json.loads(ours), json.loads(peer)
    except ValueError:
        return _different_lines(_plain(ours, ignore), _plain(peer, ignore))
    return [line for line in differences(*map(masked, parsed)) if not line.startswith(ignore or ("\0",))]


def _different_lines(ours: list[str], peer: list[str]) -> list[str]:
    if ours == peer:
        return []
    return [f"ours: {line}" for line in ours if line not in peer] + [
        f"peer: {line}" for line in peer if line not in ours
    ] or ["the same lines in another order"]


def _plain(text: str, ignore: tuple[str, ...]) -> list[str]:
    """The output's lines, masked, without what depends on the width of a value."""
    lines = []
    for raw in ANSI.sub("", text).splitlines():
        if raw.startswith(tuple(OWN_KEYS)):
            continue
        if raw.startswith(("Commit Date", "Build Date", "Waiting for terminal status")):
            continue  # the last: how often the command had to ask, which depends on the machine's load
        if raw.startswith("* ") and not MATCHED_BY_CLIENTS.search(raw):
            raw = "* <the server's own words>"
        line = OWN_ROWS.sub(r"\1 <own>", raw)
        line = TICKS.sub(r"\1 <ticks>", line)
        line = ADDRESS.sub("<address>", str(masked(line)))
        line = re.sub(r"\s+", " ", re.sub(r"-{3,}", "---", line)).strip()
        if line and not line.startswith(ignore or ("\0",)) and "cluster address" not in line:
            lines.append(line)
    return lines
