"""The engine at ``sys/``: one table, put together from the rooms below."""

from functools import cache

from broker.core.system import (
    audit,
    capabilities,
    cors,
    generate_root,
    history,
    host,
    inflight,
    leases,
    locked_users,
    loggers,
    mfa,
    monitor,
    mounts,
    namespaces,
    openapi,
    opening,
    password_policies,
    plugins,
    policies,
    quotas,
    rekey,
    remount,
    rotation,
    status,
    tools,
    ui,
    ui_headers,
    wrapping,
)
from broker.core.system.parts import Parts, SystemBase
from broker.plugin.context import Mount
from broker.plugin.paths import Path


class SystemEngine(SystemBase):
    """Control, policy and debugging. Each module holds the rows and handlers of one subject."""

    PATHS = (
        *status.PATHS,
        *opening.PATHS,
        *rotation.PATHS,
        *rekey.paths(),
        *generate_root.paths(),
        *mounts.PATHS,
        *remount.PATHS,
        *policies.PATHS,
        *password_policies.PATHS,
        *capabilities.PATHS,
        *namespaces.PATHS,
        *audit.PATHS,
        *plugins.PATHS,
        *ui.PATHS,
        *locked_users.PATHS,
        *history.PATHS,
        *leases.PATHS,
        *openapi.PATHS,
        *tools.PATHS,
        *mfa.PATHS,
        *quotas.PATHS,
        *cors.PATHS,
        *ui_headers.PATHS,
        *loggers.PATHS,
        *host.PATHS,
        *inflight.PATHS,
        *monitor.PATHS,
        *wrapping.PATHS,
    )

    def __init__(self, mount: Mount, *, parts: Parts) -> None:
        super().__init__(mount, parts=parts)
        settings = parts.settings
        if settings.unauthenticated_rekey or settings.unauthenticated_generate_root:
            # The operator's choice in the configuration, so the same for every mount of this server.
            self.PATHS = _opened(settings.unauthenticated_rekey, settings.unauthenticated_generate_root)  # type: ignore[misc]


@cache
def _opened(rekeying: bool, generating_root: bool) -> tuple[Path, ...]:
    """Return the table with some ceremonies open to callers without a token."""
    opened = (
        *rekey.paths(authenticated=not rekeying),
        *generate_root.paths(authenticated=not generating_root),
    )
    rows = {row.template: row for row in opened}
    return tuple(rows.get(row.template, row) for row in SystemEngine.PATHS)
