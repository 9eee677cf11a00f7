"""The seals that the configuration names, built once, before the server forks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.plugin.errors import ConfigError, WrongSetting
from broker.plugin.seal import Seal, SealKind, SealType

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
    """The seal in use and, where a stanza is disabled, the one to leave."""

    current: NamedSeal
    retired: NamedSeal | None = None


def build_seals(
    stanzas: Sequence[Any], types: Mapping[str, SealType], environ: Mapping[str, str] | None = None
) -> Seals:
    """Build the seals of the ``seal`` stanzas. ``environ`` speaks for the seal in use only.

    Raises: ConfigError, one line: where, and what was expected.
    """
    enabled = [stanza for stanza in stanzas if not stanza.disabled]
    disabled = [stanza for stanza in stanzas if stanza.disabled]
    if enabled:
        current = _built(enabled[0], types, environ or {})
    else:
        current = NamedSeal(DEFAULT, types[DEFAULT].build({}))
    return Seals(current, _built(disabled[0], types, {}) if disabled else None)


def _built(stanza: Any, types: Mapping[str, SealType], environ: Mapping[str, str]) -> NamedSeal:
    kind = types.get(stanza.type)
    if kind is None:
        known = ", ".join(sorted(types))
        raise ConfigError(f'{stanza.place()}: seal "{stanza.type}" is unknown; seals: {known}')
    found = {setting: _first(names, environ) for setting, names in kind.environment.items()}
    settings = {**stanza.settings, **{setting: value for setting, value in found.items() if value}}
    try:
        return NamedSeal(stanza.type, kind.build(settings))
    except WrongSetting as error:
        place = "the environment" if found.get(error.setting) else stanza.place(error.setting)
        raise ConfigError(f"{place}: {error}") from None


def _first(names: Sequence[str], environ: Mapping[str, str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
