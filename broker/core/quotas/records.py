"""What is stored of quotas: one table in the root tenant's store, for all namespaces."""

import math

import msgspec

TABLE = "core/quotas"
MAX_RULES = 10_000
RATE, COUNT = "rate-limit", "lease-count"

EXEMPT = (
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
)
"""What no rate limit touches unless the operator says otherwise: whoever watches or opens the node must get through."""


class QuotaConfig(msgspec.Struct, frozen=True):
    """``exempt`` paths are inside each namespace, ``absolute`` ones begin with the namespace; both are prefixes."""

    exempt: tuple[str, ...] = EXEMPT
    absolute: tuple[str, ...] = ()
    audit: bool = False
    headers: bool = False


class QuotaRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One quota. ``id`` names its counters: a quota made anew counts anew.

    ``namespace`` and ``mount`` are uuids, so that a quota follows a mount that moves and ends with one that is gone;
    ``suffix`` is a path below the mount. Durations in seconds.
    """

    id: str
    type: str
    name: str
    namespace: str
    namespace_path: str = ""
    mount: str = ""
    suffix: str = ""
    role: str = ""
    inheritable: bool = False
    rate: float = 0
    interval: float = 1
    block_interval: float = 0
    max_leases: int = 0
    version: int = 1
    """Goes up with each change: who counts by the rule sees that its numbers are old."""

    @property
    def scope(self) -> tuple[str, str, str, str, str]:
        """What no two quotas of a type may share."""
        return self.type, self.namespace, self.mount, self.suffix, self.role

    @property
    def limit(self) -> int:
        """How many calls a window has room for."""
        return math.ceil(self.rate)


class QuotaTable(msgspec.Struct, frozen=True):
    """All quotas of an installation."""

    v: int = 1
    config: QuotaConfig = QuotaConfig()
    rules: tuple[QuotaRule, ...] = ()
