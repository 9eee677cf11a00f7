"""Run the code blocks of a Markdown page, as a reader would type them from top to bottom.

- ``bash`` blocks run in a temporary folder with the project's commands on the path; what one block exports, the next
  ones see. A block that starts a server says ``bash background``: it goes on running until the page ends.
- ``python`` blocks run one after the other in one namespace, with the same exported variables.
- A ``text`` block right after one of them is what it prints: each of its lines must come, in this order; ``...``
  stands for anything.
- ``make`` is not run from a page (the suite itself runs under it); its targets must exist.

The page says ``127.0.0.1:8200``; the runner puts a free port there, so that pages run side by side.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fixtures.servers import BIN, clean_environment, free_port

FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
DUMP = "\nprintf '\\0ENV\\0'; env -0"
START_SECONDS = 20


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words behind it, its text and the line it begins on."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int
    prints: str | None = None


def blocks(page: str) -> list[Block]:
    """The blocks of a page; a ``text`` block is attached to the code block right before it."""
    found: list[Block] = []
    last_end = -1
    for match in FENCE.finditer(page):
        language, words, text = match.group(1), tuple(match.group(2).split()), match.group(3)
        line = page.count("\n", 0, match.start()) + 1
        between = page[last_end : match.start()].strip() if last_end >= 0 else "start"
        if language == "text" and not between and found:
            before = found.pop()
            found.append(Block(before.language, before.words, before.text, before.line, text))
        elif language in {"bash", "python"}:
            found.append(Block(language, words, text, line))
        last_end = match.end()
    return found


@dataclass
class Reader:
    """Someone who works through a page."""

    folder: Path
    repository: Path
    port: int = field(default_factory=free_port)
    variables: dict[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__page__"})
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
        return clean_environment(PATH=path, HOME=str(self.folder)) | self.variables

    def follow(self, block: Block) -> None:
        """Do what the block says; AssertionError with its line if that fails or prints something else."""
        text = block.text.replace("127.0.0.1:8200", f"127.0.0.1:{self.port}")
        if block.language == "python":
            printed = self._python(text, block)
        elif "background" in block.words:
            printed = self._start(text)
        else:
            printed = self._bash(text, block)
        if block.prints is not None:
            _expect(printed, block.prints.replace("127.0.0.1:8200", f"127.0.0.1:{self.port}"), block)

    def _bash(self, text: str, block: Block) -> str:
        kept = [line for line in text.splitlines() if not self._make_target(line)]
        script = "set -euo pipefail\n" + "\n".join(kept) + DUMP
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        printed, _, dumped = done.stdout.partition(b"\0ENV\0")
        output = printed.decode() + done.stderr.decode()
        assert done.returncode == 0, f"the block at line {block.line} ended with {done.returncode}:\n{output}"
        after = dict(item.split("=", 1) for item in dumped.decode().split("\0") if "=" in item)
        before = self.environment()
        ignored = {"PWD", "OLDPWD", "SHLVL", "_"}
        self.variables |= {k: v for k, v in after.items() if before.get(k) != v and k not in ignored}
        return output

    def _make_target(self, line: str) -> bool:
        words = line.split()
        if not words or words[0] != "make":
            return False
        makefile = (self.repository / "Makefile").read_text()
        for target in words[1:]:
            known = "=" in target or re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
            assert known, f"the page says `{line}`, but the Makefile has no target {target}"
        return True

    def _python(self, text: str, block: Block) -> str:
        printed = io.StringIO()
        kept = dict(os.environ)
        os.environ.update(self.variables)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * block.line + text, "<page>", "exec"), self.names)
        finally:
            os.environ.clear()
            os.environ.update(kept)
        return printed.getvalue()

    def _start(self, text: str) -> str:
        log = self.folder / f"background-{len(self.background)}.log"
        with log.open("wb") as output:
            self.background.append(
                subprocess.Popen(
                    ["bash", "-c", text],
                    cwd=self.folder,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return log.read_text(errors="replace")
            assert self.background[-1].poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
        raise AssertionError(f"nothing listens on port {self.port}:\n{log.read_text(errors='replace')}")

    def leave(self) -> None:
        """End what the page started."""
        for value in self.names.values():
            session = getattr(getattr(value, "adapter", None), "session", None)
            if session is not None:
                session.close()  # an hvac client left open would be reported as a leaked socket
        for process in self.background:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                    break


def _expect(printed: str, wanted: str, block: Block) -> None:
    position = 0
    lines = printed.splitlines()
    for line in filter(None, (line.rstrip() for line in wanted.splitlines())):
        if line.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split("...")))
        for number in range(position, len(lines)):
            if pattern.search(lines[number]):
                position = number + 1
                break
        else:
            raise AssertionError(
                f"the block at line {block.line} does not print {line!r}; it prints:\n{printed}"
            )


@contextlib.contextmanager
def reading(folder: Path, repository: Path) -> Iterator[Reader]:
    """A reader whose servers end with the page."""
    reader = Reader(folder, repository)
    try:
        yield reader
    finally:
        reader.leave()
