"""A secrets engine whose target is a folder: every credential is a file there, and a file ``mode`` tells how it behaves.

``mode``: nothing or ``ok``; ``fail`` refuses to revoke, with a secret in the text; ``hang`` does not answer;
``crash`` ends the worker between the effect and the commit; ``refuse`` fails the request after the effect.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path as Folder
from typing import Annotated

from broker.plugin import (
    Context,
    Engine,
    EngineType,
    Extension,
    Field,
    InvalidRequest,
    Lease,
    Leased,
    Operation,
    Path,
    hookimpl,
)

NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Ask:
    role: Annotated[str, Field("Name of the role.")]
    ttl: Annotated[timedelta, Field("Lifetime.")] = NONE
    max_ttl: Annotated[timedelta, Field("Longest lifetime.")] = NONE
    renewable: Annotated[bool, Field("Whether it can be renewed.")] = True
    grace: Annotated[timedelta, Field("How long the intent waits.")] = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Many:
    count: Annotated[int, Field("How many.")]
    ttl: Annotated[timedelta, Field("Lifetime.")] = NONE


class TargetEngine(Engine):
    @property
    def folder(self) -> Folder:
        return Folder((self.mount.options or {})["folder"])

    def mode(self) -> str:
        path = self.folder / "mode"
        return path.read_text() if path.exists() else "ok"

    async def issue(self, ctx: Context, args: Ask) -> Leased:
        user = f"{args.role}-{ctx.random(6).hex()}"
        await ctx.intend("user", {"user": user}, grace=args.grace)
        (self.folder / user).write_text("live")
        if self.mode() == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mode() == "refuse":
            raise InvalidRequest("refused after the effect")
        return Leased(
            {"username": user, "password": "p4ss-" + user},
            "user",
            {"user": user},
            ttl=args.ttl,
            max_ttl=args.max_ttl,
            renewable=args.renewable,
        )

    async def plain(self, ctx: Context, args: Ask) -> Leased:
        """Issue without any effect."""
        return Leased({"n": 1}, "plain", {}, ttl=args.ttl, max_ttl=args.max_ttl)

    async def renew_lease(self, ctx: Context, lease: Lease, increment: timedelta) -> Extension:
        if self.mode() == "slow-renew":
            await asyncio.sleep(0.5)
        return Extension()

    async def revoke_lease(self, ctx: Context, lease: Lease) -> None:
        if lease.kind == "plain":
            return
        mode = self.mode()
        with (self.folder / "revoked.log").open("a") as log:
            log.write(f"{time.time()} {mode} {lease.internal['user']}\n")
        if mode == "fail":
            raise ValueError("password=p4ss-" + lease.internal["user"])
        if mode == "hang":
            await asyncio.sleep(3600)
        await ctx.blocking((self.folder / lease.internal["user"]).unlink, True)


TargetEngine.PATHS = (
    Path("creds/{role}", "A credential.", read=Operation(Ask, dict, calls=TargetEngine.issue)),
    Path("plain/{role}", "A lease and nothing else.", read=Operation(Ask, dict, calls=TargetEngine.plain)),
)


@hookimpl
def register_engines() -> list[EngineType]:
    return [EngineType("target", build=TargetEngine, summary="Credentials in a folder, for tests.")]
