"""The composition root: builds the parts and hands each what it needs, by name. Decides nothing."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from broker.access.policies import PolicyStore
from broker.access.tokens import TokenStore
from broker.audit.auditor import Auditor
from broker.audit.guard import AuditGuard
from broker.audit.stanzas import check_device
from broker.barrier.anchor import AnchorFile
from broker.core import lockout, sweeps
from broker.core.anchoring import Anchors, OnceService
from broker.core.attendance import Attendant, Unattended
from broker.core.auditing import forget_callers
from broker.core.clock import NodeClock
from broker.core.denials import Denials
from broker.core.devices import Devices
from broker.core.identity.engine import IdentityEngine
from broker.core.leasehold import Leasehold
from broker.core.loginends import LoginService
from broker.core.passwords import PasswordService
from broker.core.pipeline import ROOT_NAMESPACE, Core
from broker.core.placing import Stanza, placed
from broker.core.plugins import Catalog, builtin_version, load_catalog
from broker.core.quotas.quotas import Quotas
from broker.core.records import MountTable
from broker.core.revoker import Revoker
from broker.core.routing import Registry, Router
from broker.core.runtime import Runtime
from broker.core.sealing import Node, SealState
from broker.core.seals import Seals, build_seals
from broker.core.settings import CoreSettings
from broker.core.steward import Steward
from broker.core.system.ceremony import SEAL_KEY
from broker.core.system.cluster import keep_settings
from broker.core.system.engine import SystemEngine
from broker.core.system.history import note_version
from broker.core.system.host import sanitized
from broker.core.system.initialise import initialise_store
from broker.core.system.parts import Parts
from broker.core.tenants import Tenant, Tenants, complete_mounts, new_mount
from broker.core.tokens import TokenService
from broker.plugin.context import Mount
from broker.plugin.engine import Engine
from broker.plugin.errors import ConfigError
from broker.plugin.paths import PathTable
from broker.plugin.storage import Backend, Store
from broker.storage.tenant import TenantStore
from broker.storage.transaction import Transaction
from broker.storage.writer import Writer

T = TypeVar("T")

SYSTEM_MOUNT = Mount(path="sys/", type="system", uuid="system", accessor="system_00000000")


class Application:
    """One worker's core: the pipeline and the lifetimes of its parts."""

    def __init__(
        self,
        prepared: "Prepared",
        *,
        node: Node,
        audit_stanzas: Sequence[Any] = (),
        attendant: Attendant | None = None,
    ) -> None:
        self.settings = prepared.settings
        self.node = node
        self.clock = NodeClock(node)
        self.catalog = prepared.catalog
        anchor = self.settings.rollback_anchor
        self.anchors = Anchors(
            AnchorFile(Path(anchor)) if anchor else None,
            accept=self.settings.accept_rollback,
            revoke_all=sweeps.put_all,
            clock=self.clock,
        )
        self.registry = Registry(prepared.catalog.engines, prepared.catalog.auth_methods)
        self.denials = Denials(node)
        self.seal_state = SealState(node=node, backend=prepared.backend, build=self._unseal)
        self.parts = Parts(
            settings=self.settings,
            catalog=self.catalog,
            registry=self.registry,
            seal_state=self.seal_state,
            seals=prepared.seals,
            denials=self.denials,
            attendant=attendant or Unattended(),
            anchors=self.anchors,
            clock=self.clock,
        )
        self._backend = prepared.backend
        self._audit_stanzas = audit_stanzas
        self._tables: dict[type, PathTable] = {}
        self._versions = {(plugin.kind, plugin.name): plugin.label for plugin in self.catalog.plugins}
        system = SystemEngine(SYSTEM_MOUNT, parts=self.parts)
        table = self.table_of(system)
        self.core = Core(
            seal=self.seal_state,
            system=(system, SYSTEM_MOUNT, table),
            denials=self.denials,
            default_ttl=self.settings.default_lease_ttl,
            max_ttl=self.settings.max_lease_ttl,
            clock=self.clock,
        )

    def table_of(self, engine: Engine) -> PathTable:
        """Return an engine's compiled table, one per class."""
        table = self._tables.get(type(engine))
        if table is None:
            table = self._tables[type(engine)] = PathTable(engine.PATHS)
        return table

    async def _unseal(self, seal: SealState, raw: Store) -> Runtime:
        """Enter every part, in order; the runtime's stack leaves them in reverse."""
        writer = Writer()
        open_store = partial(TenantStore, signal=self.node, writer=writer, renew=seal.reload_keyring)
        store = open_store(raw, tenant="root", codec=seal.root_codec())
        tokens = TokenStore("root", await self.anchors.since(store))
        root = Tenant(ROOT_NAMESPACE, None, store, tokens, PolicyStore())
        tenants = Tenants(
            backend=self._backend,
            root=root,
            open_store=open_store,
            anchors=self.anchors,
            codec=seal.codec,
            build_router=self._build_router,
        )
        guard = AuditGuard(self.settings.audit_directory, self.settings.unsafe_audit)
        make_auditor = partial(
            Auditor, tuple(self.catalog.audit.values()), guard=guard, writers=self.node.writers
        )
        auditor = make_auditor()
        devices = Devices(auditor, root, self._audit_stanzas, make=make_auditor)
        await complete_mounts(root.store)
        await devices.start()
        await note_version(root, time.time)
        await keep_settings(root, self.settings.cluster_name)
        quotas = root.quotas = Quotas(root, self.node.rates)
        await quotas.refresh()
        revoker = Revoker(tenants, clock=self.clock)
        leasehold = Leasehold(tenants, revoker, self.settings)
        runtime = Runtime(tenants, auditor, devices, quotas, leasehold, cleanup=AsyncExitStack())
        runtime.cleanup.push_async_callback(auditor.close)
        runtime.cleanup.callback(forget_callers)

        async def upkeep() -> None:
            await devices.upkeep()
            await quotas.refresh()

        steward = Steward(
            seal=seal,
            tenants=tenants,
            backend=self._backend,
            upkeep=upkeep,
            anchors=self.anchors,
            revoker=revoker,
            clock=self.clock,
        )
        runtime.cleanup.push_async_callback(steward.stop)
        steward.start()
        return runtime

    def _build_router(self, tenant: Tenant, table: MountTable, old: Router | None) -> Router:
        return Router(table, partial(self._build_engine, tenant), self.table_of, self._version_of, old)

    async def _router_of(self, tenant: Tenant, tx: Transaction) -> Router:
        return await self.parts.runtime().tenants.router(tenant, tx)

    def _version_of(self, mount: Mount) -> str:
        return self._versions.get((mount.table, mount.type), builtin_version())

    def _build_engine(self, tenant: Tenant, mount: Mount) -> Engine:
        if mount.type == "system":
            return SystemEngine(mount, parts=self.parts)
        if mount.type == "identity":
            return IdentityEngine(mount, settings=self.settings)
        kind = self.registry.find(mount.table, mount.type, mount.options)
        services: dict[str, Any] = {
            "passwords": PasswordService(tenant, os.urandom),
            "tokens": TokenService(tenant, self.settings, self._router_of),
            "lockout": lockout.LockoutService(tenant, self.settings),
            "logins": LoginService(tenant),
            "once": OnceService(tenant.tokens.since),
        }
        return kind.build(mount, **{name: services[name] for name in kind.needs})

    async def close(self) -> None:
        await self.seal_state.close()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the arbiter builds once, before it forks: a mistake in the configuration stops the server right there."""

    catalog: Catalog
    backend: Backend
    settings: CoreSettings
    seals: Seals
    storage: Stanza


def prepare(config: Any) -> Prepared:
    """Find the plugins and build the storage backend (which opens nothing yet). Raises: ConfigError."""
    catalog = load_catalog()
    with placed(config.storage):
        kind = _known("storage", config.storage.type, catalog.storage, "storage backends")
        backend = kind.build(config.storage.settings)
    seals = build_seals(config.seals, catalog.seals, os.environ)
    for stanza in config.audit:
        with placed(stanza):
            device = _known("audit device", stanza.type, catalog.audit, "audit devices")
            check_device(device, stanza.path, stanza.options)
    return Prepared(catalog, backend, _settings(config), seals, config.storage)


def _known(what: str, name: str, kinds: Mapping[str, T], all_of_them: str) -> T:
    if name not in kinds:
        raise ConfigError(f'{what} "{name}" is unknown; {all_of_them}: {", ".join(sorted(kinds))}')
    return kinds[name]


def _settings(config: Any) -> CoreSettings:
    listeners = config.listeners
    return CoreSettings(
        storage_type=config.storage.type,
        default_lease_ttl=int(config.default_lease_ttl.total_seconds()),
        max_lease_ttl=int(config.max_lease_ttl.total_seconds()),
        cluster_name=config.cluster_name,
        api_addr=config.api_addr,
        workers=config.workers,
        audit_directory=str(config.audit_directory) if config.audit_directory else None,
        unsafe_audit=config.unsafe_allow_api_audit_creation,
        unauthenticated_rekey=any(not item.disable_unauthed_rekey_endpoints for item in listeners),
        unauthenticated_generate_root=any(
            not item.disable_unauthed_generate_root_endpoints for item in listeners
        ),
        rollback_anchor=str(config.rollback_anchor or ""),
        accept_rollback=config.accept_rollback,
        raw_storage=config.raw_storage_endpoint,
        introspection=config.introspection_endpoint,
        sanitized=sanitized(config),
        user_lockout=lockout.configured(config.user_lockout),
        user_lockout_disabled=lockout.switched_off(os.environ),
    )


def application(setup: Any, attendant: Attendant | None = None) -> Application:
    """Build one worker's core from the server's setup (``broker.server.setup.WorkerSetup``)."""
    prepared: Prepared = setup.shared or prepare(setup.config)
    return Application(prepared, node=setup.node, audit_stanzas=setup.config.audit, attendant=attendant)


@dataclass(frozen=True, slots=True)
class DevInfo:
    """What a dev server prints."""

    unseal_key: str
    root_token: str


async def dev_bootstrap(setup: Any, root_token: str | None) -> DevInfo:
    """Initialise and unseal a fresh dev server, with KV version 2 at ``secret/``."""
    made = application(setup)
    kv = new_mount("secret/", "kv", description="key/value secret storage", options={"version": "2"})
    done = await initialise_store(made.parts, {}, root_token=root_token, extra=(kv,), dev=True)
    setup.node.install_root_key(done.root_key.reveal())
    if done.seal_key is not None:
        setup.node.write_ceremony(SEAL_KEY, done.seal_key.reveal())
    await made.close()
    return DevInfo(str(done.answer["keys"][0]), str(done.answer["root_token"]))


__all__ = ["Application", "DevInfo", "Prepared", "application", "dev_bootstrap", "prepare"]
