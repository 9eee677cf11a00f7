"""The page about identity can be followed from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrib.checks import ROOT
from tests.repo.markdown import blocks, reading


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path: Path):
    with reading(tmp_path, ROOT) as reader:
        for block in blocks((ROOT / "docs" / "identity.md").read_text()):
            reader.follow(block)
