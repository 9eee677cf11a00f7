"""Where the server is and how to prove who we are, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from broker.plugin.errors import ConfigError
from broker.plugin.secret import Secret

DEFAULT_ADDRESS = "https://127.0.0.1:8200"
PREFIXES = ("BROKER_", "VAULT_", "BAO_")
TRUE = frozenset({"1", "t", "true", "yes", "on"})
FALSE = frozenset({"0", "f", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server's certificate is judged and which one we offer; all are paths but the server name."""

    ca_cert: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    server_name: str | None = None
    skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a client needs to know before its first request."""

    address: str = DEFAULT_ADDRESS
    token: Secret[str] | None = None
    namespace: str = ""
    tls: Tls = Tls()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read ``BROKER_ADDR``, ``_TOKEN``, ``_NAMESPACE``, ``_CACERT``, ``_CAPATH``, ``_CLIENT_CERT``,
        ``_CLIENT_KEY``, ``_TLS_SERVER_NAME`` and ``_SKIP_VERIFY``, each falling back to ``VAULT_*``, then ``BAO_*``.

        An empty variable counts as unset. Raises: ConfigError if ``_SKIP_VERIFY`` is not a yes or no.
        """
        env = os.environ if environ is None else environ
        token = variable(env, "TOKEN")
        return cls(
            address=variable(env, "ADDR") or DEFAULT_ADDRESS,
            token=Secret(token) if token else None,
            namespace=variable(env, "NAMESPACE") or "",
            tls=Tls(
                ca_cert=variable(env, "CACERT"),
                ca_path=variable(env, "CAPATH"),
                client_cert=variable(env, "CLIENT_CERT"),
                client_key=variable(env, "CLIENT_KEY"),
                server_name=variable(env, "TLS_SERVER_NAME"),
                skip_verify=_truth("SKIP_VERIFY", variable(env, "SKIP_VERIFY")),
            ),
        )


def variable(environ: Mapping[str, str], name: str) -> str | None:
    """The first non-empty of ``BROKER_name``, ``VAULT_name``, ``BAO_name``.

    >>> variable({"VAULT_ADDR": "http://a", "BAO_ADDR": "http://b"}, "ADDR")
    'http://a'
    """
    return next((value for prefix in PREFIXES if (value := environ.get(prefix + name))), None)


def variable_name(environ: Mapping[str, str], name: str) -> str | None:
    """Which variable ``variable`` would take its value from, to name it in a message."""
    return next((prefix + name for prefix in PREFIXES if environ.get(prefix + name)), None)


def _truth(name: str, text: str | None) -> bool:
    if text is None or text.lower() in FALSE:
        return False
    if text.lower() in TRUE:
        return True
    # Guessing here would decide whether a certificate is checked.
    raise ConfigError(f"BROKER_{name} (or VAULT_{name}) must be true or false")
