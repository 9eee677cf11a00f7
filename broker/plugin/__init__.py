"""The public door: everything a plugin needs, and the only part of the core it may import."""

from typing import TYPE_CHECKING, Any

from broker.plugin.context import Caller, Connection, Context, Mount, MountConfig, NamespaceInfo, View
from broker.plugin.engine import (
    AuthMethod,
    AuthMethodType,
    Engine,
    EngineType,
    Extension,
    Lease,
    Login,
)
from broker.plugin.errors import (
    BrokerError,
    ConfigError,
    Conflict,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Tampered,
    Unavailable,
    UnsupportedOperation,
    UnsupportedPath,
    WrongOption,
    WrongSetting,
)
from broker.plugin.fields import Field, Json, Nothing, parse_duration
from broker.plugin.listings import Page, listing
from broker.plugin.messages import Auth, Leased, Plain, Raw, Response
from broker.plugin.paths import Operation, Path, PathTable
from broker.plugin.secret import Secret
from broker.plugin.settled import Settled
from broker.plugin.tokenparams import TokenParams, TokenSettings
from broker.plugin.verbs import Verb

if TYPE_CHECKING:
    from broker.plugin.hookspecs import hookimpl

__all__ = [
    "Auth",
    "AuthMethod",
    "AuthMethodType",
    "BrokerError",
    "Caller",
    "ConfigError",
    "Conflict",
    "Connection",
    "Context",
    "Engine",
    "EngineType",
    "Extension",
    "Field",
    "InvalidRequest",
    "Json",
    "Lease",
    "Leased",
    "Login",
    "Mount",
    "MountConfig",
    "NamespaceInfo",
    "NotFound",
    "Nothing",
    "Operation",
    "Page",
    "Path",
    "PathTable",
    "PermissionDenied",
    "Plain",
    "Raw",
    "Response",
    "Secret",
    "Settled",
    "Tampered",
    "TokenParams",
    "TokenSettings",
    "Unavailable",
    "UnsupportedOperation",
    "UnsupportedPath",
    "Verb",
    "View",
    "WrongOption",
    "WrongSetting",
    "hookimpl",
    "listing",
    "parse_duration",
]


def __getattr__(name: str) -> Any:
    # The hook markers import every contract; a plugin's engine module should not pay for that.
    if name == "hookimpl":
        from broker.plugin.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(name)
