"""Tenants: each namespace's own store, key, router, tokens and policies, opened on first use."""

import asyncio
import logging
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from broker.access.policies import PolicyStore
from broker.access.tokens import TokenStore, base62
from broker.barrier.codec import TenantCodec
from broker.core.anchoring import Anchors
from broker.core.records import MOUNTS, NAMESPACES, MountTable, NamespaceRecord
from broker.core.routing import Router
from broker.core.transact import transact
from broker.plugin.context import Mount, MountConfig, NamespaceInfo
from broker.plugin.errors import BrokerError, InsufficientStorage, NotFound, Tampered
from broker.plugin.secret import Secret
from broker.plugin.storage import Backend
from broker.storage.tenant import TenantStore
from broker.storage.transaction import Transaction

if TYPE_CHECKING:
    from broker.core.admission import Session
    from broker.core.entities import Recognised
    from broker.core.quotas.quotas import Quotas
    from broker.core.tokenview import Told

log = logging.getLogger("broker.core")


@dataclass(slots=True)
class Tenant:
    """One namespace, open in this worker."""

    info: NamespaceInfo
    parent: "Tenant | None"
    store: TenantStore
    tokens: TokenStore
    policies: PolicyStore
    router: Router | None = None
    sessions: "dict[str, Session]" = field(default_factory=dict, repr=False)
    """What was worked out about tokens of this tenant, by token; each checked against its reads before use."""
    recognised: "dict[Hashable, Recognised]" = field(default_factory=dict, repr=False)
    """Whom logins turned out to be, by what their method says of them; each checked against its reads before use."""
    told: "dict[str, Told]" = field(default_factory=dict, repr=False)
    """What tokens were told of themselves lately, by the name they are stored under."""
    quotas: "Quotas | None" = None
    """Of the whole installation; the root tenant has them."""

    @property
    def is_root(self) -> bool:
        return self.parent is None

    def forget_callers(self) -> None:
        """Drop what was worked out about tokens."""
        self.sessions.clear()
        self.recognised.clear()
        self.told.clear()


@dataclass(slots=True)
class Resolved:
    """Where a request goes: the tenant, the path inside it, its transaction, and the transactions walked through."""

    tenant: Tenant
    path: str
    tx: Transaction
    above: tuple[tuple[TenantStore, Transaction], ...]


class Tenants:
    """The open tenants of this worker. ``resolve`` is on every request's way."""

    def __init__(
        self,
        *,
        backend: Backend,
        root: Tenant,
        open_store: Callable[..., TenantStore],
        anchors: Anchors,
        codec: Callable[[str, Secret[bytes]], TenantCodec],
        build_router: Callable[[Tenant, MountTable, Router | None], Router],
    ) -> None:
        self._backend = backend
        self.root = root
        self._open_store = open_store
        self._anchors = anchors
        self._codec = codec
        self._build_router = build_router
        self._open: dict[str, Tenant] = {}
        self._opening = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    async def router(self, tenant: Tenant, tx: Transaction) -> Router:
        """Return the tenant's router, rebuilt if its mount table changed."""
        table = await tx.load(MOUNTS, MountTable)
        router = tenant.router
        if router is not None and router.table is table:
            return router
        if table is None:
            raise Tampered(f"{MOUNTS} is missing")
        router = tenant.router = self._build_router(tenant, table, router)
        return router

    async def resolve(self, namespace: str, path: str) -> Resolved:
        """Find the tenant a request is for, and begin its transaction there.

        ``namespace`` (from the header) is walked first, then as many segments of ``path`` as name namespaces.
        Raises: NotFound if a segment of ``namespace`` names none.
        """
        found = Resolved(self.root, path, await self.root.store.begin(), ())
        for name in namespace.split("/"):
            if name:
                below = await self._descend(found, name, path)
                if below is None:
                    raise NotFound("namespace not found")
                found = below
        while True:
            name, slash, rest = found.path.partition("/")
            if not slash or name in RESERVED:
                return found
            below = await self._descend(found, name, rest)
            if below is None:
                return found
            found = below

    async def _descend(self, here: "Resolved", name: str, rest: str) -> "Resolved | None":
        child = await self.child(here.tenant, name, here.tx)
        if child is None:
            return None
        above = (*here.above, (here.tenant.store, here.tx))
        return Resolved(child, rest, await child.store.begin(), above)

    async def child(self, parent: Tenant, name: str, tx: Transaction) -> Tenant | None:
        """Return a child namespace by name, open in this worker, or ``None``."""
        record = await tx.load(NAMESPACES + name, NamespaceRecord)
        if record is None or record.tainted:
            return None
        known = self._open.get(record.uuid)
        return known if known is not None else await self.open(parent, record)

    async def open(self, parent: Tenant, record: NamespaceRecord, *, create: bool = False) -> Tenant:
        """Open a child's store in this worker. Raises: Unavailable if it was put back to an earlier state."""
        async with self._opening:
            known = self._open.get(record.uuid)
            if known is not None:
                return known
            raw = await self._backend.open(record.uuid, create=create)
            codec = self._codec(record.uuid, Secret(bytes.fromhex(record.secret)))
            store = self._open_store(raw, tenant=record.uuid, codec=codec)
            try:
                since = await self._anchors.meet(self.root.store, store)
                await complete_mounts(store)
            except BaseException:
                await store.close()
                raise
            info = NamespaceInfo(
                record.id, record.uuid, f"{parent.info.path}{record.name}/", record.custom_metadata or {}
            )
            tenant = Tenant(info, parent, store, TokenStore(record.id, since), PolicyStore())
            self._open[record.uuid] = tenant
            return tenant

    async def close(self, tenant_uuid: str) -> None:
        """Forget a tenant's plaintext and close its store."""
        tenant = self._open.pop(tenant_uuid, None)
        if tenant is not None:
            tenant.store.forget()
            tenant.forget_callers()
            await tenant.store.close()

    async def drop_if_deleted(self, tenant: Tenant) -> bool:
        """Let go of a tenant that another worker deleted. Returns whether it was."""
        if tenant.parent is None:
            return False
        tx = await tenant.parent.store.begin()
        name = tenant.info.path.rstrip("/").rpartition("/")[2]
        record = await tx.load(NAMESPACES + name, NamespaceRecord)
        if record is not None and record.uuid == tenant.info.uuid:
            return False
        self.forget_one(tenant.info.uuid)
        return True

    def forget_one(self, tenant_uuid: str) -> None:
        """Drop the plaintext of a tenant that was deleted, never serve it again, and let go of its files."""
        tenant = self._open.pop(tenant_uuid, None)
        if tenant is not None:
            tenant.store.forget()
            tenant.forget_callers()
            task = asyncio.create_task(_let_go(tenant), name="let-go-of-tenant")
            self._leaving.add(task)  # or it may be collected before it ran
            task.add_done_callback(self._leaving.discard)

    async def destroy(self, tenant_uuid: str) -> None:
        """Destroy a deleted tenant's store."""
        await self.close(tenant_uuid)
        await self._backend.drop(tenant_uuid)
        await self._anchors.drop(self.root.store, tenant_uuid)

    def all_open(self) -> list[Tenant]:
        return [self.root, *self._open.values()]

    async def walk(self, tenant: Tenant | None = None) -> AsyncIterator[Tenant]:
        """Yield every tenant, opening those this worker has not used yet, parents first."""
        tenant = tenant or self.root
        yield tenant
        tx = await tenant.store.begin()
        for name in await tx.list(NAMESPACES):
            child = await self.child(tenant, name, tx)
            if child is not None:
                async for below in self.walk(child):
                    yield below

    def forget(self) -> None:
        """Drop every plaintext this worker holds."""
        for tenant in self.all_open():
            tenant.store.forget()
            tenant.policies.forget()
            tenant.forget_callers()
            tenant.router = None


async def _let_go(tenant: Tenant) -> None:
    """Close a store that nobody is to use again, behind the commits that are under way."""
    try:
        await tenant.store.close()
    except BrokerError as error:
        log.warning("tenant.close_failed tenant=%s error=%s", tenant.info.uuid, type(error).__name__)


RESERVED = frozenset({"sys", "auth", "audit", "cubbyhole", "identity"})
"""First segments that are never looked up as a namespace in a path; none may be created under these names."""


def new_namespace(name: str, custom_metadata: dict[str, str] | None) -> NamespaceRecord:
    """Make the record of a new namespace: fresh ids and a fresh tenant secret."""
    return NamespaceRecord(
        name=name,
        id=base62(6),
        uuid=str(uuid.uuid4()),
        secret=secrets.token_hex(32),
        custom_metadata=custom_metadata,
        created=datetime.now(UTC).isoformat(),
    )


def new_mount(path: str, kind: str, *, table: str = "secret", description: str = "", **more: object) -> Mount:
    """Make a mount entry with fresh ids; the accessor reads ``<table>_<type>_<8 hex>``."""
    label = {"secret": kind, "auth": f"auth_{kind}"}[table]
    values = {"uuid": str(uuid.uuid4()), "accessor": f"{label}_{secrets.token_hex(4)}", **more}
    return Mount(path=path, type=kind, table=table, description=description, **values)  # type: ignore[arg-type]


def builtin_mounts() -> tuple[Mount, ...]:
    """What every tenant has from birth."""
    return (
        new_mount(
            "sys/",
            "system",
            description="system endpoints used for control, policy and debugging",
            seal_wrap=True,
            config=MountConfig(passthrough_request_headers=("Accept",)),
        ),
        new_mount("cubbyhole/", "cubbyhole", description="per-token private secret storage", local=True),
        new_mount("identity/", "identity", description="identity store"),
        new_mount("token/", "token", table="auth", description="token based credentials"),
    )


async def complete_mounts(store: TenantStore) -> None:
    """Give a tenant that was born before one of the built-in mounts what it lacks.

    A path that an operator has taken meanwhile stays his. A store without room for it serves as it is.
    """

    async def complete(tx: Transaction) -> None:
        table = await tx.load(MOUNTS, MountTable)
        if table is None:
            return  # not born yet
        taken = {mount.prefix for mount in table.mounts}
        missing = tuple(mount for mount in builtin_mounts() if mount.prefix not in taken)
        if missing:
            tx.save(MOUNTS, MountTable((*table.mounts, *missing)))

    try:
        await transact(store, complete)
    except InsufficientStorage:
        log.warning("tenant.mounts_incomplete tenant=%s", store.tenant)
