"""How many shares, of which groups, for whom: the flags that init, rekey and ceremony have in common."""

import base64
import re
from pathlib import Path
from typing import Any

from broker.cli.data import Data
from broker.cli.flags import Flag, Given, UsageError

SHARES, THRESHOLD = 5, 3
SHARE_FLAGS = (
    Flag(
        "custodian-keys",
        "Files with custodians' public keys, or the keys, comma-separated, one per share.",
        "texts",
    ),
    Flag("group-threshold", "How many groups are needed.", "number"),
    Flag("key-shares", f"How many shares to make (default {SHARES}).", "number", aliases=("n",)),
    Flag("key-threshold", f"How many of them are needed (default {THRESHOLD}).", "number", aliases=("t",)),
    Flag("pgp-keys", "Files with custodians' OpenPGP public keys, comma-separated, one per share.", "texts"),
    Flag("secret-groups", 'Groups of custodians: "security:3/5,operations:2/3,board:1/1" (needed/made).'),
)
_GROUP = re.compile(r"(?P<name>[^:,/]*):(?P<threshold>[0-9]+)/(?P<count>[0-9]+)")


def share_request(given: Given, *, recovery: bool = False) -> Data:
    """The request's fields. Recovery shares of an init carry a prefix, as in Vault.

    Raises: UsageError if groups and plain counts are mixed or a key file cannot be read.
    """
    prefix = "recovery" if recovery else "secret"
    body: Data = {}
    if (groups := given.text("secret-groups")) is not None:
        if given.number("key-shares") is not None or given.number("key-threshold") is not None:
            raise UsageError("Give -secret-groups, or -key-shares and -key-threshold, not both")
        body["secret_groups"] = parse_groups(groups)
        body["group_threshold"] = _group_threshold(given, len(body["secret_groups"]))
    else:
        shares, threshold = given.number("key-shares"), given.number("key-threshold")
        body[f"{prefix}_shares"] = SHARES if shares is None else shares
        body[f"{prefix}_threshold"] = THRESHOLD if threshold is None else threshold
    if pgp := _listed(given.texts("pgp-keys")):
        body["recovery_pgp_keys" if recovery else "pgp_keys"] = [pgp_key(path) for path in pgp]
    if custodians := _listed(given.texts("custodian-keys")):
        body["custodian_keys"] = [_custodian_key(word) for word in custodians]
    return body


def parse_groups(text: str) -> list[dict[str, Any]]:
    """Groups as the API takes them.

    >>> parse_groups("security:3/5,board:1/1")[1]
    {'name': 'board', 'threshold': 1, 'count': 1}

    Raises: UsageError for anything else.
    """
    found = []
    for part in text.split(","):
        match = _GROUP.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                '-secret-groups must look like "security:3/5,operations:2/3,board:1/1" (needed/made)'
            )
        threshold, count = int(match["threshold"]), int(match["count"])
        found.append({"name": match["name"], "threshold": threshold, "count": count})
    return found


def pgp_key(path: str) -> str:
    """A public key file as the API takes it: armoured text as it is, a binary key in base64."""
    if path.startswith("keybase:"):
        raise UsageError("keybase: is not supported; save the public key to a file")
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"error reading PGP key {path}: {(error.strerror or 'failed').lower()}") from None
    text = raw.decode("ascii", "replace").strip()
    if text.startswith("-----BEGIN PGP"):
        return text
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return base64.b64encode(raw).decode()
    return "".join(text.split())


def _custodian_key(word: str) -> str:
    path = Path(word)
    return path.read_text("ascii").strip() if path.is_file() else word


def _group_threshold(given: Given, groups: int) -> int:
    threshold = given.number("group-threshold")
    if threshold is None and groups > 1:
        raise UsageError("Say how many of the groups are needed: -group-threshold=N")
    return 1 if threshold is None else threshold


def _listed(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]
