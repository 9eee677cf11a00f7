"""A custodian's card needs nothing from any network and shows one share."""

import os
import re
import stat
from html import unescape
from html.parser import HTMLParser

import pytest
import zxingcpp

from broker.cli.cards import Card, prepare_directory, render, write_cards
from broker.plugin.errors import ConfigError
from broker.plugin.secret import Secret

WORDS = " ".join(["academic", "acid", "acne"] * 11)


def card(number: int = 1, group: str = "security", share: str = WORDS) -> Card:
    return Card(number, 3, group, "share 1 of 2", 2, Secret(share), False, "https://broker:8200")


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [tag] * (tag in {"script", "link", "img", "iframe", "object"})
        self.found += [value for name, value in attrs if name in {"src", "href", "xlink:href"}]


def test_a_card_loads_nothing_and_forbids_it_too():
    page = render(card())
    links = Links()
    links.feed(page)
    assert links.found == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page)
    assert "<svg" in page


def test_a_card_has_every_word_in_order():
    assert re.findall(r"<li>(\w+)</li>", render(card())) == WORDS.split()


def picture(page: str) -> memoryview:
    """The card's QR code as a camera would see it, drawn from the SVG that is printed: one byte a pixel."""
    width = int(re.search(r'<svg width="(\d+)"', page)[1]) // 2
    rows = [bytearray(b"\xff" * width) for _ in range(width)]
    x = y = 0.0
    for step, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", re.search(r'<path [^>]* d="([^"]+)"', page)[1]):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        if step == "M":
            x, y = numbers
        elif step == "m":
            x, y = x + numbers[0], y + numbers[1]
        else:
            assert step == "h", step
            length = int(numbers[0])
            rows[int(y)][int(x) : int(x) + length] = bytes(length)
            x += length
    pixels = b"".join(bytes(pixel for pixel in row for _ in range(4)) * 4 for row in rows)
    return memoryview(pixels).cast("B", (width * 4, width * 4))


@pytest.mark.parametrize("share", [WORDS, "ab" * 42, "q" * 340 + "=="], ids=["words", "hex", "encrypted"])
def test_the_code_on_a_card_reads_as_its_share(share):
    found = zxingcpp.read_barcodes(picture(render(card(share=share))))
    assert [code.text for code in found] == [share]


def test_names_cannot_break_out_of_the_page_or_the_directory(tmp_path):
    evil = card(group="../<script>alert(1)</script>")
    assert "<script>" not in render(evil)
    assert "<script>" in unescape(render(evil))
    directory = tmp_path / "cards"
    prepare_directory(directory)
    (path,) = write_cards(directory, [evil])
    assert path.parent == directory


def test_cards_are_for_their_owner_only_and_nothing_is_overwritten(tmp_path):
    directory = tmp_path / "cards"
    old = os.umask(0)
    try:
        prepare_directory(directory)
        paths = write_cards(directory, [card(1), card(2), card(3, group="")])
    finally:
        os.umask(old)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * 3
    assert len(set(paths)) == 3
    with pytest.raises(ConfigError, match="not empty"):
        prepare_directory(directory)
    with pytest.raises(FileExistsError):
        write_cards(directory, [card(1)])


def test_a_card_does_not_show_its_share_by_accident():
    assert "academic" not in repr(card())
