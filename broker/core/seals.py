"""The seals that the configuration names, built once, before the server forks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.barrier.records import PATHS, BarrierRecords
from broker.core.placing import Stanza, placed
from broker.plugin.errors import BrokerError, ConfigError, Tampered, Unavailable
from broker.plugin.seal import Seal, SealKind, SealType
from broker.plugin.storage import Backend

DEFAULT = "shamir"
"""The seal of a configuration without a ``seal`` stanza."""


@dataclass(frozen=True, slots=True)
class NamedSeal:
    """A seal and the name of its type: what a stanza is labelled with."""

    type: str
    seal: Seal

    @property
    def auto(self) -> bool:
        """Tell whether it opens without people."""
        return self.seal.kind is SealKind.AUTO


@dataclass(frozen=True, slots=True)
class Seals:
    """The seal in use and, where a stanza is disabled, the one to leave. ``default`` needs no stanza to be left."""

    current: NamedSeal
    retired: NamedSeal | None = None
    default: NamedSeal | None = None
    _moved: dict[bytes, bool] = field(default_factory=dict, repr=False, compare=False)

    async def leaving(self, records: BarrierRecords) -> NamedSeal | None:
        """Return the seal that the store has to leave; ``None`` if it is sealed by the one in use.

        Raises: ConfigError if the configuration does not fit the store; Unavailable if only the seal's service
        could tell and does not answer.
        """
        old = self._candidate(records.config.type)
        if old is None or old.type != self.current.type:
            return old
        return None if await self._opens(records.root_key.wrapped) else old

    def _candidate(self, stored: str) -> NamedSeal | None:
        """Return what the store may have to leave, by the names of the types. Two seals may have one type."""
        if self.retired is not None and self.retired.type == stored:
            return self.retired
        if self.current.type == stored:
            return None
        if self.retired is None and self.default is not None and self.default.type == stored:
            return self.default
        if self.retired is None:
            wanted = "Shamir" if self.current.type == DEFAULT else f'"{self.current.type}"'
            raise ConfigError(
                f'cannot seal migrate from "{stored}" to {wanted}, no disabled seal in configuration: '
                f'add the stanza of the seal "{stored}" with disabled = true'
            )
        raise ConfigError(
            f'cannot seal migrate from "{self.retired.type}" to "{self.current.type}": '
            f'the storage is sealed by "{stored}"'
        )

    async def _opens(self, wrapped: bytes) -> bool:
        """Tell whether the seal in use opens this. Asked once for each root key: it may cost a call to a service."""
        if wrapped not in self._moved:
            try:
                await self.current.seal.unwrap(wrapped, None)
                found = True
            except Tampered:
                found = False
            self._moved.clear()
            self._moved[wrapped] = found
        return self._moved[wrapped]


def build_seals(
    stanzas: Sequence[Any], types: Mapping[str, SealType], environ: Mapping[str, str] | None = None
) -> Seals:
    """Build the seals of the ``seal`` stanzas. ``environ`` speaks for the seal in use only.

    Raises: ConfigError, one line: where, and what was expected.
    """
    enabled = [stanza for stanza in stanzas if not stanza.disabled]
    disabled = [stanza for stanza in stanzas if stanza.disabled]
    default = NamedSeal(DEFAULT, types[DEFAULT].build({}))
    current = _built(enabled[0], types, environ or {}) if enabled else default
    return Seals(current, _built(disabled[0], types, {}) if disabled else None, default)


def _built(stanza: Any, types: Mapping[str, SealType], environ: Mapping[str, str]) -> NamedSeal:
    kind = types.get(stanza.type)
    if kind is None:
        known = ", ".join(sorted(types))
        raise ConfigError(f'{stanza.place()}: seal "{stanza.type}" is unknown; seals: {known}')
    found = {setting: _first(names, environ) for setting, names in kind.environment.items()}
    settings = {**stanza.settings, **{setting: value for setting, value in found.items() if value}}
    with placed(stanza, frozenset(name for name, value in found.items() if value)):
        return NamedSeal(stanza.type, kind.build(settings))


def _first(names: Sequence[str], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


async def seal_to_leave(seals: Seals, backend: Backend, storage: Stanza) -> str:
    """Look at a store that nobody serves yet; returns the type of the seal that it has to leave, ``""`` if none.

    Raises: ConfigError if the configuration does not fit the store, or stores cannot be kept there. What else keeps
    it from being read is passed over: whoever serves the store meets it again.
    """
    with placed(storage):
        records = await _look(backend)
    try:
        old = None if records is None else await seals.leaving(records)
    except Unavailable:
        return ""
    return old.type if old else ""


async def _look(backend: Backend) -> BarrierRecords | None:
    try:
        await backend.check()
        store = await backend.open("root", create=False)
        entries = {path: await store.get(path) for path in PATHS}
        return BarrierRecords.load({path: entry.value for path, entry in entries.items() if entry})
    except ConfigError:
        raise
    except (BrokerError, OSError):
        return None
    finally:
        await backend.close()
