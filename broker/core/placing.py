"""A mistake in a stanza of the configuration, told with its file and line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from broker.plugin.errors import ConfigError, InvalidRequest, WrongOption, WrongSetting


class Stanza(Protocol):
    """What knows where it stands (``broker.server.settings.Placed``)."""

    def place(self, setting: str = "") -> str: ...


@contextmanager
def placed(stanza: Stanza, elsewhere: frozenset[str] = frozenset()) -> Iterator[None]:
    """Put where a stanza stands, or the setting that is meant, before what is wrong with it.

    The settings ``elsewhere`` are those that the environment gave. Raises: ConfigError.
    """
    try:
        yield
    except (WrongSetting, WrongOption) as error:
        place = "the environment" if error.setting in elsewhere else stanza.place(error.setting)
        raise ConfigError(f"{place}: {error}") from None
    except (ConfigError, InvalidRequest) as error:
        raise ConfigError(f"{stanza.place()}: {error}") from None


__all__ = ["Stanza", "placed"]
