import json
import os
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import EncryptedMasterSecret, split_ems
from shamir_mnemonic import Share as Raw

from broker.barrier.progress import Progress, ShareSet, group_status
from broker.barrier.shares import Group, Share, ShareRejected, combine, recover, split
from broker.plugin.errors import InvalidRequest

VECTORS = json.loads((Path(__file__).parent / "slip39_vectors.json").read_text())
SECRET = bytes(range(32))


def one_group(threshold: int, count: int, secret: bytes = SECRET) -> list[Share]:
    return split(secret, [Group(threshold, count)], 1, os.urandom)[0]


@pytest.mark.parametrize("vector", VECTORS["restore"], ids=lambda v: v["name"])
def test_published_shares_restore_their_secret(vector):
    shares = [Share.parse(text) for text in vector["shares"]]
    assert recover(shares).decrypt(b"TREZOR").hex() == vector["secret"]


@pytest.mark.parametrize("vector", VECTORS["refuse"], ids=lambda v: v["name"])
def test_published_faulty_shares_are_refused_for_the_right_reason(vector):
    with pytest.raises(ShareRejected) as caught:
        combine([Share.parse(text) for text in vector["shares"]])
    assert caught.value.check == vector["check"]


@pytest.mark.parametrize("vector", VECTORS["restore"], ids=lambda v: v["name"])
def test_words_hex_and_base64_tell_the_same_share(vector):
    for words in vector["shares"]:
        share = Share.parse(words)
        assert share.words == words
        assert {Share.parse(t).words for t in (share.hex, share.hex.upper(), share.base64)} == {words}


def test_spacing_and_case_do_not_matter():
    share = one_group(2, 3)[0]
    for text in (
        share.words.upper(),
        share.words.replace(" ", "\n\t "),
        f"  {share.words}\n",
        f" {share.hex}\n",
    ):
        assert Share.parse(text).packed == share.packed


def test_a_share_of_a_key_is_33_words_or_42_bytes():
    share = one_group(2, 3)[0]
    assert (len(share.words.split()), len(share.packed)) == (33, 42)


shapes = st.lists(
    st.integers(1, 4).flatmap(lambda t: st.tuples(st.just(t), st.just(1) if t == 1 else st.integers(t, 5))),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, data=st.data())
def test_any_threshold_of_groups_and_shares_restores_and_fewer_never_do(shape, data):
    groups = [Group(threshold, count) for threshold, count in shape]
    needed = data.draw(st.integers(1, len(groups)))
    shares = split(SECRET, groups, needed, os.urandom)
    chosen = data.draw(st.permutations(range(len(groups))))[:needed]
    brought = [
        share
        for index in chosen
        for share in data.draw(st.permutations(shares[index]))[: groups[index].threshold]
    ]
    assert combine(brought) == SECRET
    missing = data.draw(st.integers(0, len(brought) - 1))
    fewer = brought[:missing] + brought[missing + 1 :]
    if fewer:
        with pytest.raises(ShareRejected):
            combine(fewer)


def test_every_pair_of_two_of_four_restores():
    shares = one_group(2, 4)
    assert {combine(pair) for pair in combinations(shares, 2)} == {SECRET}


def test_fewer_shares_than_needed_say_nothing_about_any_byte():
    """The first value byte of one share of 2-of-2, over many splits of one secret, is uniform (chi-square).

    With 255 degrees of freedom 420 is passed by chance about once in 10**9 runs; a byte with even 1 bit fixed
    gives more than 2560 here.
    """
    ems = EncryptedMasterSecret(7, True, 0, SECRET)
    rounds, seen = 2560, [[0] * 256, [0] * 256]
    for _ in range(rounds):
        for counts, share in zip(seen, split_ems(1, [(2, 2)], ems)[0], strict=True):
            counts[share.value[0]] += 1
    for counts in seen:
        assert sum((n - rounds / 256) ** 2 / (rounds / 256) for n in counts) < 420


def test_the_wrong_word_anywhere_is_a_checksum_error():
    words = one_group(2, 3)[0].words.split()
    for place in range(len(words)):
        bent = [*words[:place], "academic" if words[place] != "academic" else "zero", *words[place + 1 :]]
        with pytest.raises(ShareRejected) as caught:
            Share.parse(" ".join(bent))
        assert caught.value.check == "checksum"


def test_every_flipped_bit_of_a_packed_share_is_noticed():
    packed = one_group(2, 3)[0].packed
    for bit in range(len(packed) * 8):
        bent = bytearray(packed)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ShareRejected):
            Share.parse(bytes(bent).hex())


@pytest.mark.parametrize(
    "text",
    ["", " ", "zz", "aabb", "academic", "academic " * 33 + "notaword", "not a share at all", "é" * 40, "0" * 100_000,
     "academic " * 10_000, "A" * 56 + "=", "\x00", "ac\u0430demic acid"],
)  # fmt: skip
def test_junk_is_malformed_and_never_echoed(text):
    with pytest.raises(ShareRejected) as caught:
        Share.parse(text)
    assert caught.value.check == "malformed"
    assert not text.strip() or text.strip() not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=120), st.binary(max_size=80).map(bytes.hex)))
def test_parsing_anything_either_works_or_is_rejected(text):
    with suppress(ShareRejected):
        Share.parse(text)


def test_a_share_shows_its_numbers_and_not_its_value():
    share = one_group(2, 3)[1]
    assert repr(share) == str(share) == "<share 2 of group 1>"
    with pytest.raises(ShareRejected) as caught:
        Share.parse(share.words + " academic")
    assert share.words.split()[5] not in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "threshold", "text"),
    [
        ([], 1, "at least one group"),
        ([Group(2, 3)] * 17, 1, "at most 16 groups"),
        ([Group(2, 3)], 0, "group_threshold"),
        ([Group(2, 3)], 2, "group_threshold"),
        ([Group(0, 0)], 1, "shares must be at least one"),
        ([Group(3, -1)], 1, "shares must be at least one"),
        ([Group(0, 5)], 1, "threshold must be at least one"),
        ([Group(6, 5)], 1, "threshold cannot be larger than shares"),
        ([Group(3, 256)], 1, "shares must be less than 256"),
        ([Group(3, 17)], 1, "shares must be at most 16"),
        ([Group(1, 5)], 1, "threshold must be greater than one for multiple shares"),
        ([Group(2, 3), Group(1, 5, "board")], 1, "threshold must be greater than one .* 'board'"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_refused_with_the_limit(groups, threshold, text):
    with pytest.raises(InvalidRequest, match=text):
        split(SECRET, groups, threshold, os.urandom)


def test_the_largest_split_works():
    groups = [Group(16, 16)] * 16
    shares = split(SECRET, groups, 16, os.urandom)
    assert combine([share for group in shares for share in group]) == SECRET


class TestProgress:
    groups = (Group(2, 3, "security"), Group(1, 1, "board"), Group(2, 2, "operations"))

    def made(self) -> tuple[list[list[Share]], ShareSet]:
        shares = split(SECRET, self.groups, 2, os.urandom)
        return shares, ShareSet.of(shares, self.groups, 2)

    def test_it_counts_by_group_and_completes(self):
        (security, board, operations), known = self.made()
        progress = Progress("n")
        for share, counts in ((security[2], [1, 0, 0]), (operations[0], [1, 0, 1]), (security[0], [2, 0, 1])):
            progress = progress.add(share, known)
            assert progress.counts(known) == counts
            assert not progress.complete(known)
        progress = progress.add(board[0], known)
        assert progress.complete(known)
        assert progress.combine(known).reveal() == SECRET
        assert (known.required, known.total) == (3, 6)

    def test_its_groups_are_told_by_name(self):
        (security, _, _), known = self.made()
        rows = group_status(known, Progress("n").add(security[0], known))
        assert rows[0] == {"name": "security", "threshold": 2, "count": 3, "progress": 1}
        assert [row["progress"] for row in group_status(known, None)] == [0, 0, 0]

    @pytest.mark.parametrize("check", ["duplicate", "other ceremony"])
    def test_a_bad_share_says_why_and_leaves_progress_as_it_was(self, check):
        (security, _, _), known = self.made()
        before = Progress("n").add(security[0], known)
        bad = security[0] if check == "duplicate" else self.made()[0][0][1]
        with pytest.raises(ShareRejected) as caught:
            before.add(bad, known)
        assert caught.value.check == check
        assert before.counts(known) == [1, 0, 0]
        assert before.add(security[1], known).counts(known) == [2, 0, 0]

    def test_a_forged_share_with_right_numbers_and_checksum_is_not_let_in(self):
        """Its identifier is public and the checksum no secret: only the fingerprint tells."""
        (security, _, _), known = self.made()
        raw = security[1].slip39()
        forged = Share(Raw(**{**vars(raw), "value": os.urandom(32)}))
        assert Share.parse(forged.words).identifier == known.identifier
        with pytest.raises(ShareRejected) as caught:
            Progress("n").add(forged, known)
        assert caught.value.check == "other ceremony"

    def test_a_share_of_a_full_group_is_welcome_and_not_kept(self):
        (security, _, _), known = self.made()
        full = Progress("n").add(security[0], known).add(security[1], known)
        assert full.add(security[2], known) == full

    def test_shares_of_a_set_replaced_meanwhile_no_longer_count(self):
        (old, _, _), known = self.made()
        (new, _, _), current = self.made()
        progress = Progress("n").add(old[0], known).add(new[0], current)
        assert progress.counts(current) == [1, 0, 0]
        kept = [given.packed for given in progress.add(new[1], current).given]
        assert kept == [new[0].packed, new[1].packed]

    def test_its_repr_shows_no_share(self):
        (security, _, _), known = self.made()
        assert repr(Progress("n").add(security[0], known)) == "<progress: 1 shares>"
