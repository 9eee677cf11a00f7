"""The Python client: ``Client`` speaks to a broker, or to anything else with Vault's HTTP API."""

from broker.client.client import Client
from broker.client.errors import ApiError, ClientError, RedirectRefused, Unreachable
from broker.client.kv import KvMount, find_mount
from broker.client.lifetime import Change, Kind, LifetimeWatcher
from broker.client.reply import Reply
from broker.client.settings import Settings, Tls

__all__ = [
    "ApiError",
    "Change",
    "Client",
    "ClientError",
    "Kind",
    "KvMount",
    "LifetimeWatcher",
    "RedirectRefused",
    "Reply",
    "Settings",
    "Tls",
    "Unreachable",
    "find_mount",
]
