"""The engine at ``identity/``: one table, put together from the rooms below."""

from broker.core.identity import aliases, entities, group_aliases, groups, lookup, merge
from broker.core.identity.parts import IdentityBase


class IdentityEngine(IdentityBase):
    """Who is who in a namespace. Each module holds the rows and handlers of one subject."""

    PATHS = (
        *entities.PATHS,
        *merge.PATHS,
        *aliases.PATHS,
        *groups.PATHS,
        *group_aliases.PATHS,
        *lookup.PATHS,
    )
