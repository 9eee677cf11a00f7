"""Typing a share: hidden, completed by its first letters, checked before it is sent."""

import re
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from broker.barrier.shares import Group, Share, ShareRejected, split
from broker.cli.shareprompt import feedback, prompt_share
from broker.cli.shares import checked, complete, expanded
from broker.plugin.secret import Secret


@pytest.fixture(scope="module")
def share() -> Share:
    groups = [Group(2, 3, "security"), Group(1, 1, "board")]
    return split(secrets.token_bytes(32), groups, 2, secrets.token_bytes)[0][1]


def typed(keys: str) -> str:
    with create_pipe_input() as pipe:
        pipe.send_text(keys)
        return prompt_share("Unseal Key", pipe, DummyOutput()).reveal()


def test_four_letters_of_each_word_are_enough(share):
    keys = "".join(word[:4] + " " for word in share.words.split())
    assert typed(keys + "\r") == share.words
    assert typed(keys.rstrip() + "\r") == share.words


def test_whole_words_capitals_and_a_paste_are_taken_too(share):
    assert typed(share.words.upper() + "\r") == share.words
    assert typed(f"\x1b[200~{share.words}\x1b[201~\r") == share.words


def test_an_unknown_word_is_not_accepted_until_it_is_corrected(share):
    first, rest = share.words.split(" ", 1)
    # "zzzz" stays, the space bar only rings; four backspaces make room for the right word.
    assert typed("zzzz " + "\x7f" * 4 + first + " " + rest + "\r") == share.words


def test_a_wrong_checksum_keeps_the_prompt_until_it_is_right(share):
    words = share.words.split()
    wrong = next(word for word in ("academic", "acid") if word != words[-1])
    keys = " ".join([*words[:-1], wrong]) + "\r" + "\x7f" * len(wrong) + words[-1] + "\r"
    assert typed(keys) == share.words


def test_hex_and_base64_are_taken_as_they_are(share):
    assert typed(share.hex + "\r") == share.hex
    assert typed(share.base64 + "\r") == share.base64


def test_giving_up_raises():
    with pytest.raises(KeyboardInterrupt):
        typed("acad\x03")


def test_feedback_tells_everything_but_the_letters(share):
    words = share.words.split()
    assert "33 words" in feedback("acad ")
    assert "recognised" in feedback("acad")
    assert "no word begins like this" in feedback("zz")
    assert "Checksum right: share 2 of group 1" in feedback(share.words)
    assert "NOT a valid share" in feedback(" ".join([*words[1:], words[0]]))
    for count in range(1, 34):
        shown = feedback(" ".join(words[:count]))
        spoken = set(re.findall("[a-z]+", shown.lower()))
        assert not spoken & set(words[:count]) - {"of", "group", "share", "press", "enter", "right"}


def test_a_share_of_words_hex_or_base64_is_checked_before_it_is_sent(share):
    broken = share.words.split()
    broken[5] = "academic" if broken[5] != "academic" else "acid"
    other = "0" if share.hex[-1] != "0" else "1"
    for text in (" ".join(broken), share.hex[:-1] + other):
        with pytest.raises(ShareRejected):
            checked(Secret(text))
    for text in (share.words, share.hex, share.base64):
        assert checked(Secret(f" {text}\n")).reveal() == text


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=17, max_size=41))
def test_other_servers_shares_pass_unchecked(raw):
    assert checked(Secret(raw.hex())).reveal() == raw.hex()


def test_every_word_is_told_by_its_first_four_letters():
    from shamir_mnemonic.wordlist import WORDLIST

    assert expanded(" ".join(word[:4] for word in WORDLIST)) == " ".join(WORDLIST)
    assert complete("a") is None
    assert complete("") is None


def test_at_a_terminal_no_word_and_no_word_length_shows(sealed, share):
    words = share.words.split()
    with sealed.terminal("operator", "unseal") as terminal:
        terminal.expect("Unseal Key (will be hidden):")
        assert terminal.process.poll() is None
        for word in words[:-1]:
            terminal.type(word[:4] + " ")
        terminal.type(words[-1])
        terminal.expect("\u25cb")
        terminal.type("\r")
        # A genuine share, of another server: this one says so.
        terminal.expect("Error unsealing")
        assert terminal.end() == 2
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.screen)
        plain = plain.partition("Error unsealing")[0]  # the server's words may be some of the list's
        spoken = set(re.findall("[a-z]+", plain.lower()))
        innocent = set(
            re.findall("[a-z]+", feedback("").lower() + " unseal key group share press enter right check")
        )
        assert not (spoken - innocent) & set(words)


def test_at_a_terminal_a_typed_share_unseals(sealed):
    for key in sealed.keys[:2]:
        with sealed.terminal("operator", "unseal") as terminal:
            terminal.expect("Unseal Key (will be hidden):")
            terminal.type(key + "\r")
            assert terminal.end() == 0
            assert key not in terminal.screen
    assert sealed.broker("status").code == 0


def test_a_mistyped_share_at_a_terminal_asks_again_and_sends_nothing(sealed, share):
    words = share.words.split()
    with sealed.terminal("operator", "unseal") as terminal:
        terminal.expect("Unseal Key (will be hidden):")
        terminal.type(" ".join([*words[1:], words[0]]))
        terminal.type("\r")
        terminal.expect("checksum is wrong")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert sealed.broker("status", "-format=json").json["progress"] == 0
