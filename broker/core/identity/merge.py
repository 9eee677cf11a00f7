"""``identity/entity/merge``: several entities turn out to be one.

Source: Vault's identity API documentation, "Merge entities".
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from broker.access.identity import store
from broker.access.identity.membership import join
from broker.access.identity.records import AliasRecord, EntityRecord, Pointer
from broker.access.lifetimes import issue_time
from broker.core.identity.parts import IdentityBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest, PermissionDenied
from broker.plugin.fields import Field
from broker.plugin.paths import Operation, Path
from broker.plugin.verbs import Verb

MAX_MERGED = 256


@dataclass(frozen=True, slots=True)
class Merge:
    to_entity_id: Annotated[str, Field("Id of the entity that stays.", max_length=128)] = ""
    from_entity_ids: Annotated[list[str], Field("Ids of the entities that go.", max_length=MAX_MERGED)] = ()  # type: ignore[assignment]
    conflicting_alias_ids_to_keep: Annotated[
        list[str], Field("Of aliases at one mount, those that stay.", max_length=MAX_MERGED)
    ] = ()  # type: ignore[assignment]
    force: Annotated[bool, Field("Unused: what would be lost is named in conflicting_alias_ids_to_keep.")] = (
        False
    )


async def merge(engine: IdentityBase, ctx: Context, args: Merge) -> None:
    """Move the aliases, group places and ids of some entities to another one, and remove them.

    Tokens of those that go act as the one that stays from then on. Their policies and metadata are not taken over.
    """
    tx = ctx.transaction
    if not args.to_entity_id:
        raise InvalidRequest("missing entity id to merge to")
    if not args.from_entity_ids:
        raise InvalidRequest("missing entity ids to merge from")
    if args.to_entity_id in args.from_entity_ids:
        raise InvalidRequest("to_entity_id should not be present in from_entity_ids")
    heir = await _entity(ctx, args.to_entity_id, "to")
    for entity_id in dict.fromkeys(args.from_entity_ids):
        gone = await _entity(ctx, entity_id, "from")
        heir = _merged(ctx, heir, gone, tuple(args.conflicting_alias_ids_to_keep))
        for group_id in gone.groups:
            if await store.group(tx, group_id) is not None:
                heir = join(tx, heir, group_id)


async def _entity(ctx: Context, entity_id: str, which: str) -> EntityRecord:
    """Return one of the entities. Who merges acts as all of them, so that takes sudo on each."""
    found = await store.entity(ctx.transaction, entity_id)
    if found is None:
        raise InvalidRequest(f"entity id to merge {which} is invalid")
    if not _may_take_over(ctx, found.id):
        raise PermissionDenied
    return found


def _may_take_over(ctx: Context, entity_id: str) -> bool:
    if ctx.caller.root:
        return True
    if ctx.judge is None:
        return False
    verdict = ctx.judge.check(Verb.UPDATE, f"{ctx.lead}identity/entity/id/{entity_id}", now=ctx.now)
    return verdict.allowed and bool(getattr(verdict, "sudo", False))


def _merged(ctx: Context, heir: EntityRecord, gone: EntityRecord, keep: tuple[str, ...]) -> EntityRecord:
    """Store ``heir`` with what it takes over from ``gone``, and remove that one."""
    tx = ctx.transaction
    aliases = _aliases(heir, gone, keep)
    store.delete_entity(tx, gone)
    new = msgspec.structs.replace(
        heir, aliases=aliases, merged=(*heir.merged, *gone.merged, gone.id), updated=issue_time(ctx.now)
    )
    store.save_entity(tx, heir, new)
    for old in (*gone.merged, gone.id):
        tx.save(store.MERGED + old, Pointer(heir.id))
    return new


def _aliases(heir: EntityRecord, gone: EntityRecord, keep: tuple[str, ...]) -> tuple[AliasRecord, ...]:
    """Return the aliases of both as one's. Raises: InvalidRequest where a mount knows both and nobody chose."""
    kept = list(heir.aliases)
    for alias in gone.aliases:
        rival = next((each for each in kept if each.accessor == alias.accessor), None)
        if rival is not None and rival.id in keep and alias.id not in keep:
            continue
        if rival is not None and alias.id in keep and rival.id not in keep:
            kept.remove(rival)
        elif rival is not None:
            raise InvalidRequest(
                "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the merge "
                "request specifying exactly one fromEntity, clashes: "
                f"mountAccessor: {alias.accessor}, toEntity ID: {heir.id}, fromEntity ID: {gone.id}, "
                f"conflicting toEntity alias ID: {rival.id}, conflicting fromEntity alias ID: {alias.id}"
            )
        kept.append(
            msgspec.structs.replace(alias, canonical=heir.id, merged_from=(*alias.merged_from, gone.id))
        )
    return tuple(kept)


PATHS = (
    Path(
        "entity/merge",
        "Merge entities into one.",
        description="Needs sudo on identity/entity/id/ID of each of them.",
        update=Operation(Merge, None, calls=merge, raises=(PermissionDenied,)),
    ),
)
