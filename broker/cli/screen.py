"""The screen during a ceremony: the terminal's second page, wiped between any two people.

Nothing shown here reaches the scrollback: the second page has none, and leaving it restores the first.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass

WIPE = "\x1b[H\x1b[2J\x1b[3J"
ENTER_PAGE = "\x1b[?1049h"
LEAVE_PAGE = "\x1b[?1049l"
BAR_WIDTH = 24


class Screen:
    """Writes to the terminal, whatever stdout is."""

    def clear(self) -> None:
        """Wipe the page."""
        sys.stderr.write(WIPE)
        sys.stderr.flush()

    def show(self, *lines: str) -> None:
        """Write lines."""
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()

    def wait(self, text: str = "Press Enter") -> None:
        """Wait for Enter; what is typed before it is not shown. Raises: KeyboardInterrupt, EOFError."""
        getpass(f"{text} ", stream=sys.stderr)

    def ask_hidden(self, text: str) -> str:
        """Ask for a line without echo."""
        return getpass(f"{text}: ", stream=sys.stderr).strip()

    def ask(self, text: str) -> str:
        """Ask for a line."""
        sys.stderr.write(f"{text}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.strip()


@contextmanager
def second_page() -> Iterator[Screen]:
    """Open the second page; however the ceremony ends, wipe and leave it."""
    screen = Screen()
    sys.stderr.write(ENTER_PAGE + WIPE)
    sys.stderr.flush()
    try:
        yield screen
    finally:
        sys.stderr.write(WIPE + LEAVE_PAGE)
        sys.stderr.flush()


def bar(done: int, of: int) -> str:
    """A progress bar.

    >>> bar(1, 3)
    '[########................] 1/3'
    """
    filled = BAR_WIDTH * min(done, of) // of if of else 0
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done}/{of}"
