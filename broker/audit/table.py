"""What is stored about the enabled audit devices."""

import os
from collections.abc import Callable, Mapping
from uuid import UUID

import msgspec


class AuditTableEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One enabled device. ``path`` ends in ``/``; ``salt`` is a key and stays behind the barrier."""

    path: str
    type: str
    accessor: str
    uuid: str
    salt: str
    description: str = ""
    options: dict[str, str] = {}
    local: bool = False
    from_config: bool = False

    def __repr__(self) -> str:
        return f"AuditTableEntry(path={self.path!r}, type={self.type!r}, uuid={self.uuid!r})"


class AuditTable(msgspec.Struct, frozen=True):
    """All enabled devices, as one record."""

    v: int = 1
    entries: tuple[AuditTableEntry, ...] = ()


def new_entry(
    path: str,
    kind: str,
    options: Mapping[str, str],
    *,
    description: str = "",
    local: bool = False,
    from_config: bool = False,
    random: Callable[[int], bytes] = os.urandom,
) -> AuditTableEntry:
    """An entry with an accessor, id and salt of its own: enabling a device again never reuses a salt."""
    return AuditTableEntry(
        path=normal_path(path),
        type=kind,
        accessor=f"audit_{kind}_{random(4).hex()}",
        uuid=str(UUID(bytes=random(16), version=4)),
        salt=random(32).hex(),
        description=description,
        options=dict(options),
        local=local,
        from_config=from_config,
    )


def normal_path(path: str) -> str:
    """As devices are named in the table: ``file/`` for ``/file``."""
    return path.strip("/") + "/"
