"""What the README tells a newcomer to type works as it stands there."""

from __future__ import annotations

import pytest

from contrib.checks import ROOT
from tests.repo.markdown import blocks, reading

TICKS = "```"


@pytest.mark.slow
def test_the_readme_can_be_followed_from_top_to_bottom(tmp_path):
    found = blocks((ROOT / "README.md").read_text())
    assert {block.language for block in found} == {"bash", "python"}, (
        "a tour of the command line and of a client"
    )
    with reading(tmp_path, ROOT) as reader:
        for block in found:
            reader.follow(block)


def _page(*parts: str) -> str:
    return "\n\n".join(parts)


def test_exports_and_names_live_on_between_blocks(tmp_path):
    page = _page(
        f"{TICKS}bash\nexport WHO=reader\n{TICKS}",
        f"{TICKS}python\nimport os\nwho = os.environ['WHO']\n{TICKS}",
        f"{TICKS}python\nprint('hello', who)\n{TICKS}\n\n{TICKS}text\nhello ...\n{TICKS}",
    )
    with reading(tmp_path, ROOT) as reader:
        for block in blocks(page):
            reader.follow(block)
    assert reader.names["who"] == "reader"


@pytest.mark.parametrize(
    "code",
    [
        "bash\nfalse",
        "bash\nmake no-such-target",
        "python\nassert 1 == 2",
        f"bash\necho one\n{TICKS}\n{TICKS}text\ntwo",
        "bash background\nexit 3",
    ],
)
def test_a_page_that_does_not_work_is_noticed(tmp_path, code):
    page = f"{TICKS}{code}\n{TICKS}\n"
    (block,) = blocks(page)
    with reading(tmp_path, ROOT) as reader, pytest.raises(AssertionError):
        reader.follow(block)


def test_a_server_in_the_background_ends_with_the_page(tmp_path):
    page = f"{TICKS}bash background\nexec python -m http.server --bind 127.0.0.1 $(echo 127.0.0.1:8200 | cut -d: -f2)\n{TICKS}\n"
    (block,) = blocks(page)
    with reading(tmp_path, ROOT) as reader:
        reader.follow(block)
        server = reader.background[0]
        assert server.poll() is None
    assert server.poll() is not None
