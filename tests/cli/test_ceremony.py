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


def test_a_terminal_killed_at_the_first_share_loses_none_of_them(empty):
    with empty.terminal(
        "operator", "ceremony", "init", "-key-shares=3", "-key-threshold=2", "-cards=cards"
    ) as room:
        room.expect("Before the first is shown, all are written as cards")
        room.expect("Press Enter to make the keys")
        room.type("\n")
        room.expect("press Enter to see your share")
        room.type("\n")
        shown = re.search(r"^[A-Za-z0-9+/=]{40,}$", room.expect("Write it down"), re.MULTILINE)[0]
        room.process.kill()
    cards = sorted((empty.home / "cards").iterdir())
    shares = [html.unescape(re.search(r"<code>([^<]+)</code></div>", card.read_text())[1]) for card in cards]
    assert shares[0] == shown
    for share in shares[1:]:
        assert empty.broker("operator", "unseal", "-", stdin=share).code == 0
    assert empty.broker("status").code == 0


def test_a_ceremony_without_cards_says_before_there_are_keys_what_a_dead_terminal_costs(empty):
    with empty.terminal("operator", "ceremony", "init", "-n=2", "-t=2") as room:
        said = room.expect("Press Enter to make the keys")
        assert "if this terminal dies before the last is\nhanded out, the others are lost" in said
        assert "With -cards=DIR they would be in files." in said
        room.type("\x03")
        assert room.end() == 130
    assert empty.broker("operator", "init", "-status").code == 2


def test_cards_that_cannot_be_written_cost_no_share(empty):
    with empty.terminal("operator", "ceremony", "init", "-n=1", "-t=1", "-cards=cards") as room:
        room.expect("Press Enter to make the keys")
        (empty.home / "cards").rmdir()  # as a disk that fills up: it is noticed when the keys are made
        room.type("\n")
        room.expect("NO CARDS: ")
        room.expect("Press Enter")
        room.type("\n")
        share = hand_over(room)
        room.expect("Press Enter to see it")
        room.type("\n")
        room.expect("it disappears")
        room.type("\n")
        room.expect("The cards could not be written")
        assert room.end() == 1
    assert empty.broker("operator", "unseal", "-", stdin=share).code == 0


def test_an_abandoned_ceremony_says_where_the_rest_is(empty):
    with empty.terminal("operator", "ceremony", "init", "-n=2", "-t=2", "-cards=cards") as room:
        room.expect("Press Enter to make the keys")
        room.type("\n")
        room.expect("press Enter to see your share")
        room.type("\x03")
        room.expect("they are on the cards in cards")
        room.expect("Type abandon to stop")
        room.type("abandon\n")
        room.expect("some shares are only on the cards in cards")
        assert room.end() == 1
    assert len(list((empty.home / "cards").iterdir())) == 2
