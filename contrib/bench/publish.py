"""Put a measurement into ``docs/performance.md``, between the markers that bear its name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def publish(name: str, text: str, page: Path = PAGE) -> None:
    """Replace the block called ``name``; KeyError if the page has none."""
    block = f"<!-- {name}: begin -->\n\n{text.strip()}\n\nMeasured {datetime.now(UTC):%Y-%m-%d}.\n\n<!-- {name}: end -->"
    pattern = re.compile(rf"<!-- {re.escape(name)}: begin -->.*?<!-- {re.escape(name)}: end -->", re.DOTALL)
    before = page.read_text()
    if not pattern.search(before):
        raise KeyError(f"{page.name} has no block called {name}")
    page.write_text(pattern.sub(lambda _: block, before))
