"""Which quota holds for a path: the most specific one, and only that.

In order: role, exact path, longest glob, mount, namespace, the nearest namespace above whose quota is inherited.
Source: Vault's resource quota documentation, and the order the peer was seen to keep.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from broker.core.quotas.records import QuotaRule
from broker.core.routing import Route
from broker.core.tenants import Tenant
from broker.plugin.engine import AuthMethod
from broker.plugin.errors import Tampered, Unavailable
from broker.storage.errors import TransactionConflict
from broker.storage.transaction import Transaction


class Shelf:
    """The quotas of one mount."""

    __slots__ = ("exact", "globs", "roles", "whole")

    def __init__(self) -> None:
        self.whole: QuotaRule | None = None
        self.roles: dict[str, QuotaRule] = {}
        self.exact: dict[str, QuotaRule] = {}
        self.globs: list[tuple[str, QuotaRule]] = []

    def add(self, rule: QuotaRule) -> None:
        if rule.role:
            self.roles[rule.role] = rule
        elif rule.suffix.endswith("*"):
            self.globs.append((rule.suffix[:-1], rule))
            self.globs.sort(key=lambda pair: -len(pair[0]))
        elif rule.suffix:
            self.exact[rule.suffix] = rule
        else:
            self.whole = rule

    def find(self, rest: str) -> QuotaRule | None:
        exact = self.exact.get(rest)
        if exact is not None:
            return exact
        return next((rule for prefix, rule in self.globs if rest.startswith(prefix)), self.whole)


class Limit:
    """What holds for one path: ``pick`` a rule once it is known which ``role`` the request's data names."""

    __slots__ = ("_roles", "_route", "_rule", "by_role")

    def __init__(self, rule: QuotaRule | None, roles: Mapping[str, QuotaRule], route: Route | None) -> None:
        self._rule = rule
        self._roles = roles
        self._route = route
        self.by_role = bool(roles) and route is not None and isinstance(route.engine, AuthMethod)
        """Whether it matters which role a login names."""

    async def role(self, tx: Transaction, data: Mapping[str, Any]) -> str:
        """Return the role that a login names, where that matters."""
        return await role_of(tx, self._route, data) if self.by_role and self._route is not None else ""

    def pick(self, role: str) -> QuotaRule | None:
        """Return the quota of the role that a login names, else the path's."""
        return (self._roles.get(role) if role else None) or self._rule


async def role_of(tx: Transaction, route: Route, data: Mapping[str, Any]) -> str:
    """Return the role that a login names; none if what it sends makes no sense. Raises: BrokerError of the storage."""
    if not isinstance(route.engine, AuthMethod):
        return ""
    try:
        return await route.engine.find_role(tx.view(route.storage_prefix), route.rest, data)
    except (TransactionConflict, Tampered, Unavailable):
        raise
    except Exception:
        # What a stranger sends must not break the count; the login itself will say what is wrong.
        return ""


class Book:
    """Quotas of one type, by what they hold for."""

    def __init__(self, rules: Iterable[QuotaRule]) -> None:
        self._mounts: dict[str, Shelf] = {}
        self._namespaces: dict[str, QuotaRule] = {}
        for rule in rules:
            if rule.mount:
                self._mounts.setdefault(rule.mount, Shelf()).add(rule)
            else:
                self._namespaces[rule.namespace] = rule

    def __bool__(self) -> bool:
        return bool(self._mounts or self._namespaces)

    def limit_of(self, tenant: Tenant, route: Route | None) -> Limit | None:
        """Return what holds for a path of ``tenant``, ``None`` for nothing."""
        rule: QuotaRule | None = None
        roles: Mapping[str, QuotaRule] = {}
        shelf = None if route is None else self._mounts.get(route.mount.uuid)
        if shelf is not None and route is not None:
            rule, roles = shelf.find(route.rest), shelf.roles
        if rule is None:
            rule = self.namespace_rule(tenant)
        return None if rule is None and not roles else Limit(rule, roles, route)

    def mount_rule(self, tenant: Tenant, mount: str, rest: str, role: str) -> QuotaRule | None:
        """Return the quota of what is made at ``rest`` below a mount (by uuid), ``None`` for none."""
        shelf = self._mounts.get(mount)
        found = None if shelf is None else shelf.roles.get(role) or shelf.find(rest)
        return found or self.namespace_rule(tenant)

    def has_roles(self, mount: str) -> bool:
        """Tell whether a mount (by uuid) has quotas by role."""
        shelf = self._mounts.get(mount)
        return shelf is not None and bool(shelf.roles)

    def namespace_rule(self, tenant: Tenant) -> QuotaRule | None:
        """Return the quota of a namespace, or of the nearest above it that is inherited."""
        rule = self._namespaces.get(tenant.info.uuid)
        above = tenant.parent
        while rule is None and above is not None:
            inherited = self._namespaces.get(above.info.uuid)
            rule = inherited if inherited is not None and inherited.inheritable else None
            above = above.parent
        return rule


__all__ = ["Book", "Limit", "role_of"]
