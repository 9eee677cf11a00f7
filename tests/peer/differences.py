"""The differences from OpenBao that we allow, each with its reason. ``docs/compatibility.md`` is their public list."""

from __future__ import annotations

# Held by the masks in compare.py, for every request.
EVERYWHERE: dict[str, str] = {
    "token-prefix": "Tokens look like Vault's: `hvs.` and 24 characters, batch tokens `hvb.`; OpenBao writes `s.` and `b.`.",
    "own-versions": "Version numbers, build dates and plugin versions are our own.",
}

# Named by single steps of the scripts.
BY_STEP: dict[str, str] = {
    "kv1-lists-are-paged": "`after` and `limit` page the lists of KV version 1 too; OpenBao ignores them there.",
    "no-5xx-for-bad-input": "A request that is wrong gets a 4xx where OpenBao answers 500.",
    "no-redirects": "Doubled slashes are served as one where OpenBao redirects; clients lose the token on a redirect.",
    "stricter-input": "Values that mean nothing (negative counts and durations, a null secret) are refused with 400; OpenBao stores them.",
}
