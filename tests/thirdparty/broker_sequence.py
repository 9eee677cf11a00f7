"""A secrets engine that hands out numbers, each of them once."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from broker.plugin import Context, Engine, EngineType, Field, NotFound, Operation, Path, hookimpl


class Sequence(msgspec.Struct, frozen=True):
    v: int = 1  # A record begins with the number of its format.
    last: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    name: Annotated[str, Field("Name of the sequence.", max_length=64)]


@dataclass(frozen=True, slots=True)
class Take:
    name: Annotated[str, Field("Name of the sequence.", max_length=64)]
    count: Annotated[int, Field("How many numbers to take.", minimum=1, maximum=1000)] = 1


class SequenceEngine(Engine):
    async def look(self, ctx: Context, args: Named) -> dict[str, int]:
        sequence = await ctx.storage.load(f"sequence/{args.name}", Sequence)
        if sequence is None:
            raise NotFound
        return {"last": sequence.last}

    async def take(self, ctx: Context, args: Take) -> dict[str, int]:
        before = await ctx.storage.load(f"sequence/{args.name}", Sequence) or Sequence()
        after = Sequence(last=before.last + args.count)
        # Stored when the request commits, together with everything else it did, or not at all.
        ctx.storage.save(f"sequence/{args.name}", after)
        return {"first": before.last + 1, "last": after.last}


SequenceEngine.PATHS = (
    Path(
        "next/{name}",
        "The numbers of one sequence.",
        read=Operation(Named, dict, calls=SequenceEngine.look),
        update=Operation(Take, dict, calls=SequenceEngine.take),
    ),
)


@hookimpl
def register_engines() -> list[EngineType]:
    return [EngineType("sequence", build=SequenceEngine, summary="Numbers, each handed out once.")]
