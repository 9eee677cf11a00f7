"""The engine at ``identity/``: one table, put together from the rooms below."""

from broker.core.identity import (
    aliases,
    entities,
    group_aliases,
    groups,
    lookup,
    merge,
    mfa_enforcements,
    mfa_methods,
    oidc_keys,
    oidc_roles,
    oidc_tokens,
)
from broker.core.identity.parts import IdentityBase
from broker.plugin.context import Context


class IdentityEngine(IdentityBase):
    """Who is who in a namespace. Each module holds the rows and handlers of one subject."""

    PATHS = (
        *entities.PATHS,
        *merge.PATHS,
        *aliases.PATHS,
        *groups.PATHS,
        *group_aliases.PATHS,
        *lookup.PATHS,
        *mfa_methods.PATHS,
        *mfa_enforcements.PATHS,
        *oidc_keys.PATHS,
        *oidc_roles.PATHS,
        *oidc_tokens.PATHS,
    )

    async def wake(self, ctx: Context, name: str) -> None:
        if name.startswith(oidc_keys.ERRAND):
            await oidc_keys.follow_time(ctx, name.removeprefix(oidc_keys.ERRAND))
