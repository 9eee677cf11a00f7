"""What login MFA stores in a tenant.

Layout in the tenant's store::

    sys/mfa/table                        MfaTable: the methods and enforcements, few and read at every login
    sys/mfa/secret/<method>/<entity>     TotpSecret
    sys/mfa/pending/<hash>               PendingLogin, by the keyed hash of its request id
"""

from typing import Any

import msgspec

TABLE = "sys/mfa/table"
SECRET = "sys/mfa/secret/"  # noqa: S105 - a place in the store
PENDING = "sys/mfa/pending/"


class TotpMethod(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one-time codes are made. ``period`` in seconds, ``key_size`` in bytes, ``qr_size`` in pixels."""

    id: str
    issuer: str
    name: str = ""
    period: int = 30
    key_size: int = 20
    algorithm: str = "SHA1"
    digits: int = 6
    skew: int = 1
    qr_size: int = 200
    max_validation_attempts: int = 5


class Enforcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which logins need a second proof, and by which methods: any one of them will do."""

    id: str
    name: str
    methods: tuple[str, ...]
    accessors: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()

    def concerns(self, *, accessor: str, kind: str, entity: str, groups: frozenset[str]) -> bool:
        """Tell whether a login by this mount, of this entity, needs the proof."""
        return (
            accessor in self.accessors
            or kind in self.types
            or (bool(entity) and entity in self.entities)
            or not groups.isdisjoint(self.groups)
        )


class MfaTable(msgspec.Struct, frozen=True):
    """All methods and enforcements of a tenant."""

    v: int = 1
    methods: tuple[TotpMethod, ...] = ()
    enforcements: tuple[Enforcement, ...] = ()

    def method(self, id_or_name: str) -> TotpMethod | None:
        """Find a method by its id, or by its name if only one has it."""
        for method in self.methods:
            if method.id == id_or_name:
                return method
        named = [method for method in self.methods if id_or_name and method.name == id_or_name]
        return named[0] if len(named) == 1 else None


class TotpSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entity's key for a method, with the method's numbers as they were when it was made.

    A code is spent by its time step, not by its text: ``used_step`` and all before it are over. ``used_by`` is the request
    that spent it, so that a request which runs again after a conflict is still the one. ``tries`` counts the attempts in
    the period ``tries_in``.
    """

    key: str
    v: int = 1
    algorithm: str = "SHA1"
    digits: int = 6
    period: int = 30
    skew: int = 1
    used_step: int = -1
    used_by: str = ""
    tries_in: int = -1
    tries: int = 0


class PendingLogin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login that has proved the first thing and owes the second. ``auth`` is what its method said, sealed with the rest.

    ``entity`` is whom it was recognised as. ``rows`` are the mount's rows that the login rests on, by their paths below the
    mount: the SHA-256 of each as hex, empty where there was none.
    """

    accessor: str
    path: str
    role: str
    expires_at: float
    auth: dict[str, Any]
    v: int = 1
    entity: str = ""
    rows: dict[str, str] = {}
