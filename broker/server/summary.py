"""What the server says about itself when it starts: settings, never secrets."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from broker.server.convert import format_duration
from broker.server.settings import ListenerConfig, ServerConfig
from broker.server.sockets import ListeningSocket

__all__ = ["Summary"]


class Summary:
    """The block that is printed between binding the sockets and starting the workers."""

    def __init__(self, config: ServerConfig, leaving: str = "") -> None:
        self._config = config
        self._leaving = leaving

    def lines(self, listeners: Sequence[ListeningSocket]) -> Iterator[str]:
        """One fact per line, right-aligned names, like the field's servers print them."""
        facts = list(self._facts(listeners))
        width = max(len(name) for name, _value in facts) + 4
        yield "==> Broker server configuration:\n"
        for name, value in facts:
            yield f"{name:>{width}}: {value}"
        if self._config.ignored:
            yield f"\n    Without effect here: {', '.join(sorted(set(self._config.ignored)))}"
        if self._leaving:
            yield (
                f'\n    Seal migration: the storage is sealed by "{self._leaving}". The server stays sealed until its '
                "shares are\n    brought with: broker operator unseal -migrate"
            )
        yield "\n==> Broker server started! Log data will stream in below:\n"

    def _facts(self, listeners: Sequence[ListeningSocket]) -> Iterator[tuple[str, str]]:
        config = self._config
        yield "Api Address", config.api_addr or next((str(item) for item in listeners), "")
        if config.cluster_addr:
            yield "Cluster Address", config.cluster_addr
        for number, listener in enumerate(listeners, 1):
            yield f"Listener {number}", f"{listener} ({_describe(listener.config)})"
        yield "Log Level", config.log_level
        yield "Mlock", f"enabled: {str(not config.disable_mlock).lower()}"
        yield "Storage", config.storage.type
        yield "Seal", ", ".join(seal.type for seal in config.seals if not seal.disabled) or "shamir"
        if config.audit:
            yield "Audit", ", ".join(f"{device.path} ({device.type})" for device in config.audit)
        yield "Workers", str(config.workers)
        yield "Python Version", platform.python_version()
        yield "Version", f"Broker v{version('broker')}"


def _describe(config: ListenerConfig) -> str:
    facts = [
        f'max_request_duration: "{format_duration(config.max_request_duration)}"',
        f"max_request_size: {config.max_request_size}",
    ]
    if config.kind == "tcp":
        facts.append(f"tls: {config.tls_min_version if config.tls else 'disabled'}")
    if config.tls_require_and_verify_client_cert:
        facts.append("client certificates: required")
    return ", ".join(facts)
