"""The page about quotas can be followed from top to bottom."""

import pytest

from contrib.checks import ROOT
from tests.repo.markdown import blocks, reading


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path):
    with reading(tmp_path, ROOT) as reader:
        for block in blocks((ROOT / "docs" / "quotas.md").read_text()):
            reader.follow(block)
