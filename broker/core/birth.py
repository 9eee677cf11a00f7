"""What a tenant is born with, and the first root token."""

import time

from broker.access.lifetimes import issue_time
from broker.access.policy.default_policies import DEFAULT_TEXT
from broker.access.policy.parse import parse_policy
from broker.access.records import PolicyRecord, TokenEntry
from broker.access.tokens import TokenStore
from broker.core.records import MOUNTS, MountTable
from broker.core.tenants import builtin_mounts
from broker.plugin.context import Mount
from broker.plugin.secret import Secret
from broker.storage.transaction import Transaction


def prepare_tenant(tx: Transaction, *, extra: tuple[Mount, ...] = ()) -> None:
    """Write the records without which a tenant cannot serve: mounts, the token hashing key, the default policy."""
    tx.save(MOUNTS, MountTable((*builtin_mounts(), *extra)))
    TokenStore.prepare(tx)
    default = parse_policy("default", DEFAULT_TEXT)
    modified = issue_time(time.time())
    tx.save("sys/policy/default", PolicyRecord("default", DEFAULT_TEXT, default, modified=modified))


async def mint_root(
    tokens: TokenStore, tx: Transaction, *, token: str | None = None, path: str = "auth/token/root"
) -> Secret[str]:
    """Store a root token: all powers, no expiry, no parent."""
    now = time.time()
    made = await tokens.fresh(tx, custom=token)
    entry = TokenEntry(
        accessor=made.accessor,
        policies=("root",),
        path=path,
        created_at=int(now),
        display_name="root",
        issue_time=issue_time(now),
    )
    return tokens.mint(tx, entry, made)
