"""How the comparison runs: against ours, or with a second OpenBao in our place."""

from __future__ import annotations

import os

import pytest

# With ``PEER_SELF_CHECK=1`` both sides are OpenBao, which proves the scripts and the masks.
SELF_CHECK = os.environ.get("PEER_SELF_CHECK", "") == "1"


def not_yet(what: str) -> pytest.MarkDecorator:
    """A script for something we do not have yet; it fails as soon as we have it, so that this mark goes."""
    return pytest.mark.xfail(not SELF_CHECK, reason=f"not there yet: {what}", strict=True)
