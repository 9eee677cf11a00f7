"""The page about LDAP can be followed, with our directory in place of the example's."""

import pytest

from contrib.checks import ROOT
from tests.repo.markdown import blocks, reading


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path, directory):
    page = (ROOT / "docs" / "auth" / "ldap.md").read_text().replace("ldap://127.0.0.1:389", directory.url)
    (tmp_path / "ca.pem").write_text(directory.ca)
    with reading(tmp_path, ROOT) as reader:
        for block in blocks(page):
            reader.follow(block)
