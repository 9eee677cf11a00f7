"""A printable card per custodian: one HTML file that needs nothing from any network."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from broker.plugin.errors import ConfigError
from broker.plugin.files import sync_directory
from broker.plugin.secret import Secret

STYLE = """
@page { size: A6 landscape; margin: 8mm }
body { font: 10pt sans-serif; margin: 1em; max-width: 40em }
h1 { font-size: 12pt; margin: 0 0 .3em } p { margin: .3em 0 }
.share { display: flex; gap: 1em; align-items: flex-start }
ol { columns: 3; margin: 0; padding-left: 2em; font-family: monospace }
code { font-size: 9pt; overflow-wrap: anywhere } svg { flex: none }
footer { font-size: 8pt; border-top: 1px solid; margin-top: .6em; padding-top: .3em }
"""


@dataclass(frozen=True, slots=True)
class Card:
    """What one custodian gets. ``place`` reads "share 2 of 5", of the custodian's group."""

    number: int
    total: int
    group: str
    place: str
    needed: int
    share: Secret[str]
    encrypted: bool
    server: str

    @property
    def title(self) -> str:
        """Which share this is."""
        group = f" of group {self.group}" if self.group else ""
        return f"Custodian {self.number} of {self.total}: {self.place}{group}"


def prepare_directory(directory: Path) -> None:
    """Make the directory, of mode 0700. Raises: ConfigError if it holds something already."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty; cards go into a directory of their own")


def write_cards(directory: Path, cards: Sequence[Card]) -> list[Path]:
    """Write one file of mode 0600 per card, durably, and return where. Existing files are never overwritten.

    Raises: FileExistsError, or another OSError if they cannot be written.
    """
    paths = [_write(directory / _name(card), render(card)) for card in cards]
    sync_directory(directory)
    return paths


def render(card: Card) -> str:
    """The card as HTML, QR code included as SVG."""
    import segno

    text = card.share.reveal()
    words = text.split()
    listed = "".join(f"<li>{escape(word)}</li>" for word in words)
    share = f"<ol>{listed}</ol>" if len(words) > 1 else f"<code>{escape(text)}</code>"
    picture = segno.make(text, error="m", micro=False).svg_inline(scale=2)
    sealed = (
        "<p>Encrypted to your key: <code>broker operator decrypt-share</code> opens it.</p>"
        if card.encrypted
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(card.title)}</title><style>{STYLE}</style></head>
<body><h1>{escape(card.title)}</h1>
<p>Unseal key share for {escape(card.server)}. {card.needed} shares of this group are needed.</p>{sealed}
<div class="share">{picture}{share}</div>
<footer>Keep this card where only you can reach it, and not together with another one. Destroy the file.
To use it: <code>broker operator unseal</code>, then type the words (the first four letters of each are enough).</footer>
</body></html>
"""


def _name(card: Card) -> str:
    group = re.sub(r"[^A-Za-z0-9_-]+", "-", card.group).strip("-")
    return f"custodian-{card.number:02d}{'-' + group if group else ''}.html"


def _write(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return path
