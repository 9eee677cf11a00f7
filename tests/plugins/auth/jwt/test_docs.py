"""The pages about tokens and logins in the browser can be followed from top to bottom."""

import pytest

from contrib.checks import ROOT
from tests.fixtures.servers import free_port
from tests.repo.markdown import blocks, reading


@pytest.mark.slow
@pytest.mark.parametrize("page", ["jwt", "oidc"])
def test_the_page_can_be_followed(tmp_path, page):
    text = (ROOT / "docs" / "auth" / f"{page}.md").read_text()
    provider, listener = free_port(), free_port()
    text = text.replace("9400", str(provider)).replace("port=8250", f"port={listener}")
    with reading(tmp_path, ROOT) as reader:
        reader.variables["HOME"] = str(tmp_path)
        for block in blocks(text):
            reader.follow(block)
