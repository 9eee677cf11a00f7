"""Which shares of a set were brought so far.

A ``Progress`` is a small value that lives in the node page, shared by all workers: each share may arrive at
another worker, and a worker's death loses none. What it holds is secret; its ``repr`` tells only how much.
"""

import hmac
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from broker.barrier.shares import Group, Share, ShareRejected, combine, fingerprint
from broker.plugin.secret import Secret


class ShareSet(msgspec.Struct, frozen=True):
    """What is known, in clear, of the shares in force: their groups and a fingerprint of each.

    The fingerprints tell a genuine share from a forged one at once, so a stranger's share never enters the
    progress. They reveal nothing: every share's value is at least 128 random bits.
    """

    identifier: int
    groups: tuple[Group, ...]
    group_threshold: int
    fingerprints: tuple[tuple[bytes, ...], ...]

    @classmethod
    def of(
        cls, split: Sequence[Sequence[Share]], groups: Sequence[Group], group_threshold: int
    ) -> "ShareSet":
        """Describe the shares that were just split."""
        fingerprints = tuple(tuple(share.fingerprint for share in group) for group in split)
        return cls(split[0][0].identifier, tuple(groups), group_threshold, fingerprints)

    @property
    def required(self) -> int:
        """The fewest shares that can open: Vault's ``t``."""
        return sum(sorted(group.threshold for group in self.groups)[: self.group_threshold])

    @property
    def total(self) -> int:
        """How many shares there are: Vault's ``n``."""
        return sum(group.count for group in self.groups)

    def has(self, group: int, member: int, packed: bytes) -> bool:
        """Tell whether a share with these numbers is one of this set."""
        if group >= len(self.fingerprints) or member >= len(self.fingerprints[group]):
            return False
        return hmac.compare_digest(self.fingerprints[group][member], fingerprint(packed))


class _Given(msgspec.Struct, frozen=True, array_like=True):
    """One share as kept: its numbers beside its bytes, so that counting need not parse it again."""

    group: int
    member: int
    packed: bytes


class Progress(msgspec.Struct, frozen=True):
    """The shares given so far, in order, and the nonce that names this attempt."""

    nonce: str
    given: tuple[_Given, ...] = ()

    def __repr__(self) -> str:
        return f"<progress: {len(self.given)} shares>"

    def add(self, share: Share, of: ShareSet) -> "Progress":
        """Return the progress with one more share; this one is as before.

        A genuine share of a group that needs no more is welcome and not kept.
        Raises: ShareRejected, ``other ceremony`` or ``duplicate``.
        """
        new = _Given(share.group_index, share.member_index, share.packed)
        if not of.has(new.group, new.member, new.packed):
            raise ShareRejected("other ceremony")
        valid = self._valid(of)
        if any(hmac.compare_digest(new.packed, known.packed) for known in valid):
            raise ShareRejected("duplicate")
        if sum(known.group == new.group for known in valid) >= of.groups[new.group].threshold:
            return self
        return replace(self, given=(*valid, new))

    def counts(self, of: ShareSet) -> list[int]:
        """Return how many shares of each group were given."""
        counts = [0] * len(of.groups)
        for given in self._valid(of):
            counts[given.group] += 1
        return counts

    def complete(self, of: ShareSet) -> bool:
        """Tell whether enough groups have enough shares."""
        return len(self._full_groups(of)) >= of.group_threshold

    def combine(self, of: ShareSet) -> Secret[bytes]:
        """Restore the key. The caller verifies it. Raises: ShareRejected unless ``complete``."""
        chosen = set(self._full_groups(of)[: of.group_threshold])
        return Secret(combine([Share.unpack(g.packed) for g in self._valid(of) if g.group in chosen]))

    def _full_groups(self, of: ShareSet) -> list[int]:
        counts = self.counts(of)
        return [i for i, group in enumerate(of.groups) if counts[i] >= group.threshold]

    def _valid(self, of: ShareSet) -> list[_Given]:
        """Return the shares given. Those of a set that was replaced meanwhile no longer count."""
        return [given for given in self.given if of.has(given.group, given.member, given.packed)]


def group_status(of: ShareSet, progress: Progress | None) -> list[dict[str, object]]:
    """Return ``[{"name", "threshold", "count", "progress"}]``, one row per group, for a progress bar each."""
    counts = progress.counts(of) if progress else [0] * len(of.groups)
    return [
        {"name": group.name, "threshold": group.threshold, "count": group.count, "progress": given}
        for group, given in zip(of.groups, counts, strict=True)
    ]
