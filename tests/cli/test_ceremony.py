"""The ceremony at a real terminal with a real server; shares are hex or base64 there, ours are words."""

import html
import itertools
import re
import stat


def hand_over(terminal) -> str:
    """Play one custodian: read the share, prove to have it, and return it."""
    terminal.expect("press Enter to see your share")
    terminal.type("\n")
    shown = terminal.expect("Write it down")
    share = re.search(r"^[A-Za-z0-9+/=]{40,}$", shown, re.MULTILINE)[0]
    terminal.expect("it disappears")
    terminal.type("\n")
    terminal.expect("Last 6 characters:")
    terminal.type(share[-6:] + "\n")
    return share


def test_a_ceremony_hands_out_every_share_and_the_next_one_unseals(empty):
    with empty.terminal(
        "operator", "ceremony", "init", "-key-shares=3", "-key-threshold=2", "-cards=cards"
    ) as room:
        room.expect("Press Enter to make the keys")
        room.type("\n")
        shares = [hand_over(room) for _ in range(3)]
        room.expect("Press Enter to see it")
        room.type("\n")
        room.expect("Initial Root Token:")
        room.expect("it disappears")
        room.type("\n")
        room.expect("3 shares handed out, 2 needed")
        assert room.end() == 0
    assert len(set(shares)) == 3
    # Each share is followed by a wipe of page and scrollback before the next is shown.
    for share, following in itertools.pairwise(shares):
        between = room.screen[room.screen.index(share) : room.screen.index(following)]
        assert "\x1b[2J\x1b[3J" in between
    cards = sorted((empty.home / "cards").iterdir())
    assert len(cards) == 3
    for card, share in zip(cards, shares, strict=True):
        assert stat.S_IMODE(card.stat().st_mode) == 0o600
        assert html.escape(share) in card.read_text()
    with empty.terminal("operator", "ceremony") as room:
        for done, share in enumerate(shares[1:]):
            room.expect(f"{done}/2")
            room.expect("then type your share")
            room.type("\n")
            room.expect("Unseal Key")
            room.type(share + "\r")
        room.expect("Unsealed.")
        assert room.end() == 0
    assert not any(share in room.screen for share in shares)
    assert empty.broker("status").code == 0
