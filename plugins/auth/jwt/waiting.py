"""Logins under way at a provider: a bounded number of them for each mount, since beginning one takes no token.

A mount has ``GROUPS`` times ``PLACES`` places, below ``pending/<group>/<place>`` (hex). Which group a login goes to is decided by
the network that it begins from, under a key of the mount's: whoever begins logins without end takes the places of those who share
the group, and one network shares with few others. In its group a login takes the first free of ``PROBES`` places drawn at
random; if none is free, the oldest of them gives way. So there is always room for who comes now, and to push somebody out
one has to begin hundreds of logins while he is at the provider's page: that is for a rate quota to stop.

The state names the place, and is stored as its hash. Each group is swept by one errand a minute at most, however many logins begin.
"""

import hashlib
import hmac
import ipaddress
import math
import re
from base64 import urlsafe_b64encode

import msgspec

from broker.plugin import Context

from .records import PENDING, Pending

GROUPS = 32
PLACES = 256
PROBES = 8
SWEEP_SECONDS = 60
_STATE = re.compile(r"st_([0-9a-f]{2})([0-9a-f]{2})[A-Za-z0-9_-]{32}", re.ASCII)


async def keep(ctx: Context, begun: Pending) -> str:
    """Store a login that begins, and return its state."""
    place = await _place(ctx, _group(ctx, begun.requester))
    state = f"st_{place.replace('/', '')}{urlsafe_b64encode(ctx.random(24)).decode()}"
    update(ctx, state, msgspec.structs.replace(begun, state=_hash(state)))
    swept_at = math.ceil(begun.expires_at / SWEEP_SECONDS + 1) * SWEEP_SECONDS
    ctx.schedule(swept_at, PENDING + place.partition("/")[0])
    return state


async def find(ctx: Context, state: str) -> Pending | None:
    """Return the login that a state stands for, while it is under way."""
    path = _path(state)
    found = await ctx.storage.load(path, Pending) if path else None
    if found is None or ctx.now >= found.expires_at:
        return None
    return found if hmac.compare_digest(found.state.encode(), _hash(state).encode()) else None


def update(ctx: Context, state: str, begun: Pending) -> None:
    """Store what has become of a login. ``state`` is one that ``find`` knew."""
    ctx.storage.save(_path(state), begun)


def forget(ctx: Context, state: str) -> None:
    """End a login: its state is used up."""
    ctx.storage.delete(_path(state))


async def sweep(ctx: Context, name: str) -> None:
    """Clear the places of one group (``pending/<group>``) whose logins were not finished in time."""
    if not name.startswith(PENDING):
        return
    for place in await ctx.storage.list(f"{name}/", limit=PLACES):
        found = await ctx.storage.load(f"{name}/{place}", Pending)
        if found is not None and found.expires_at <= ctx.now:
            ctx.storage.delete(f"{name}/{place}")


async def _place(ctx: Context, group: int) -> str:
    """Return a free place of a group, or the one among a few that was taken longest ago."""
    oldest, age = "", math.inf
    for number in ctx.random(PROBES):
        place = f"{group:02x}/{number:02x}"
        found = await ctx.storage.load(PENDING + place, Pending)
        if found is None or found.expires_at <= ctx.now:
            return place
        if found.expires_at < age:
            oldest, age = place, found.expires_at
    return oldest


def _group(ctx: Context, requester: str) -> int:
    key = f"{ctx.mount.uuid}\0{_network(requester)}"
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[0] % GROUPS


def _network(address: str) -> str:
    """Return what one party can be taken to have: an IPv4 address, or 64 bits of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or found.packed[:8].hex())


def _path(state: str) -> str:
    """Return where the login of a state lies, nowhere if no login has such a state."""
    found = _STATE.fullmatch(state)
    return f"{PENDING}{found[1]}/{found[2]}" if found else ""


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()
