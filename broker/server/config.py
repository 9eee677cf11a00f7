"""Reading the server's configuration: files in, settings out, one line for every mistake."""

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from broker.http.headers import reserved
from broker.http.listener import ListenerRules
from broker.plugin.errors import ConfigError
from broker.server.convert import Mismatch, convert, format_duration
from broker.server.settings import (
    AuditStanza,
    ListenerConfig,
    SealStanza,
    ServerConfig,
    StorageStanza,
    UserLockoutStanza,
)
from broker.server.sockets import split_address
from broker.server.syntax import ConfigSyntaxError, Entry, Node, Object, read_hcl, read_json

__all__ = ["load_config"]

T = TypeVar("T")
_SIZE_LIMIT: Final = 4 * 1024 * 1024
_MAX_WORKERS: Final = 128

# Keys of the field's files that mean nothing here; they are named at startup instead of refused.
_IGNORED_NAMES: Final = """
    administrative_namespace_path cache_size detect_deadlocks disable_cache disable_clustering disable_indexing
    disable_performance_standby disable_printable_check disable_sealwrap disable_standby_reads
    enable_response_header_raft_node_id enable_ui imprecise_lease_role_tracking
    license_path log_requests_level log_rotate_bytes log_rotate_duration log_rotate_max_files
    plugin_auto_download plugin_auto_register plugin_download_behavior plugin_file_permissions plugin_file_uid
    service_registration
"""
_IGNORED_LISTENER_NAMES: Final = """
    cluster_address disable_request_limiter inflight_requests_logging max_json_array_element_count max_json_depth
    max_json_object_entry_count max_json_string_value_length profiling purpose role
    tls_prefer_server_cipher_suites
"""
# Settings that are read but not acted on: these too are named where a file turns them on.
_NOT_YET: Final = (
    "ui",
    "plugin_directory",
    "plugins",
    "telemetry",
    "raw_storage_endpoint",
    "introspection_endpoint",
)
_NOT_YET_IN_LISTENER: Final = ("unauthenticated_metrics_access",)
_IGNORED: Final = frozenset(_IGNORED_NAMES.split())
_IGNORED_IN_LISTENER: Final = frozenset(_IGNORED_LISTENER_NAMES.split())
# Stanzas with a class of their own, or with a meaning that the type alone does not give.
_STANZAS: Final = ("listener", "storage", "backend", "seal", "audit", "user_lockout")
_NOT_SETTINGS: Final = frozenset({"listeners", "seals", "dev", "accept_rollback", "ignored", *_STANZAS})


def load_config(paths: Sequence[Path]) -> ServerConfig:
    """Read files and folders (``*.hcl`` and ``*.json`` by name), later ones over earlier ones.

    Listeners, seals and audit devices add up; of everything else the last one counts.
    Raises: ConfigError, one line: file, line number, what was expected.
    """
    draft = _Draft()
    for path in paths:
        for file in _files(path):
            draft.add(file, _read(file))
    return draft.finish()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in (".hcl", ".json") and file.is_file())
    if not found:
        raise ConfigError(f"{path}: expected at least one .hcl or .json file in this folder")
    return found


def _read(file: Path) -> Object:
    try:
        raw = file.read_bytes()
        if len(raw) > _SIZE_LIMIT:
            raise ConfigError(f"{file}: expected a file of at most 4 MiB")
        text = raw.decode("utf-8")
        as_json = file.suffix == ".json" or text.lstrip().startswith("{")
        return read_json(text) if as_json else read_hcl(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}:{line}: expected UTF-8 text") from error
    except ConfigSyntaxError as error:
        raise ConfigError(f"{file}:{error.line}: {error.expected}") from error


@dataclasses.dataclass(slots=True)
class _Draft:
    """What the files said so far."""

    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    listeners: list[ListenerConfig] = dataclasses.field(default_factory=list)
    seals: list[SealStanza] = dataclasses.field(default_factory=list)
    audit: list[AuditStanza] = dataclasses.field(default_factory=list)
    lockouts: dict[str, UserLockoutStanza] = dataclasses.field(default_factory=dict)
    ignored: list[str] = dataclasses.field(default_factory=list)
    storage: StorageStanza | None = None
    file: Path = Path()
    places: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, file: Path, content: Object) -> None:
        """Take over one file."""
        self.file = file
        stanzas: dict[str, Callable[[Entry], None]] = {
            "listener": self._add_listener,
            "storage": self._add_storage,
            "backend": self._add_storage,
            "seal": self._add_seal,
            "audit": self._add_audit,
            "user_lockout": self._add_user_lockout,
        }
        settings = Object([entry for entry in content.entries if entry.key not in stanzas])
        found = self._settings(
            settings, ServerConfig, _IGNORED, skip=_NOT_SETTINGS, where="the configuration"
        )
        self.values.update(found)
        self.places.update(self._places(0, settings))
        storages = 0
        for entry in content.entries:
            if entry.key in stanzas:
                storages += entry.key in ("storage", "backend")
                if storages > 1:
                    self._fail(entry.line, "expected one storage stanza, found another")
                stanzas[entry.key](entry)

    def finish(self) -> ServerConfig:
        """Everything together. Raises: ConfigError if a part is missing."""
        if self.storage is None:
            raise ConfigError(
                f'{self.file}: expected a storage stanza, like: storage "sqlite" {{ path = "..." }}'
            )
        if not self.listeners:
            raise ConfigError(f'{self.file}: expected a listener stanza, like: listener "tcp" {{ ... }}')
        self._check_ttls()
        default = (
            self.values.get("default_max_request_duration") or ServerConfig().default_max_request_duration
        )
        return ServerConfig(
            listeners=tuple(_with_duration(entry, default) for entry in self.listeners),
            storage=self.storage,
            seals=tuple(self.seals),
            audit=tuple(self.audit),
            user_lockout=tuple(self.lockouts.values()),
            ignored=(*self.ignored, *(key for key in _NOT_YET if self.values.get(key))),
            **self.values,
        )

    def _check_ttls(self) -> None:
        """Leave out lifetimes of zero, which are as good as none, and compare those there are."""
        names = ("default_lease_ttl", "max_lease_ttl")
        given = [name for name in names if self.values.get(name)]
        for name in set(names).difference(given):
            self.values.pop(name, None)
        default, most = (self.values.get(name, getattr(ServerConfig(), name)) for name in names)
        if default > most:
            raise ConfigError(
                f"{self.places[given[0]]}: expected default_lease_ttl ({format_duration(default)}) "
                f"not above max_lease_ttl ({format_duration(most)})"
            )

    # -- stanzas ---------------------------------------------------------------------------------------------

    def _add_listener(self, entry: Entry) -> None:
        for label, line, body in self._labelled(entry, 'listener "tcp" or listener "unix"'):
            if label not in ("tcp", "unix"):
                self._fail(line, f'expected listener "tcp" or "unix", found "{label}"')
            body = self._lift_telemetry(body)
            values = self._settings(
                body, ListenerConfig, _IGNORED_IN_LISTENER, skip={"kind"}, where="a listener"
            )
            if label == "unix" and "address" not in values:
                self._fail(line, "expected an address: the path of the socket")
            config = ListenerConfig(kind="unix" if label == "unix" else "tcp", **values)
            self._check_listener(config, line, {entry.key: entry.line for entry in body.entries})
            self.ignored += [key for key in _NOT_YET_IN_LISTENER if getattr(config, key)]
            self.ignored += _reserved_headers(config)
            self.listeners.append(config)

    def _lift_telemetry(self, body: Object) -> Object:
        """``telemetry { unauthenticated_metrics_access = true }`` inside a listener is one of its settings."""
        lifted: list[Entry] = []
        for entry in body.entries:
            if entry.key == "telemetry":
                lifted += [inner for block in self._blocks(entry.node) for inner in block.entries]
            else:
                lifted.append(entry)
        return Object(lifted)

    def _check_listener(self, config: ListenerConfig, line: int, lines: Mapping[str, int]) -> None:
        def fail(key: str, expected: str) -> NoReturn:
            self._fail(lines.get(key, line), expected)

        if config.kind == "tcp":
            try:
                split_address(config.address)
            except ValueError:
                fail("address", 'expected an address like "127.0.0.1:8200" or "[::1]:8200"')
        if config.tls and not (config.tls_cert_file and config.tls_key_file):
            fail("", "expected tls_cert_file and tls_key_file, or tls_disable = true")
        if config.tls_require_and_verify_client_cert and not config.tls_client_ca_file:
            fail(
                "tls_require_and_verify_client_cert",
                "expected tls_client_ca_file to verify client certificates by",
            )
        if config.tls_require_and_verify_client_cert and config.tls_disable_client_certs:
            fail("tls_disable_client_certs", "expected client certificates to be either required or disabled")
        if config.tls_min_version > config.tls_max_version:
            fail("tls_min_version", "expected tls_min_version not above tls_max_version")
        if config.cors_enabled and not config.cors_allowed_origins:
            fail("cors_enabled", "expected cors_allowed_origins, the origins whose pages may call")
        for key in ("x_forwarded_for_authorized_addrs", "custom_response_headers"):
            if key in lines:
                self._check_edge(config, key, lines[key])

    def _check_edge(self, config: ListenerConfig, key: str, line: int) -> None:
        """Have the edge look at a setting that only it understands."""
        alone = ListenerConfig(**{key: getattr(config, key)})
        try:
            ListenerRules(alone)
        except ConfigError as error:
            self._fail(line, str(error))

    def _add_storage(self, entry: Entry) -> None:
        stanzas = list(self._labelled(entry, 'a storage type, like: storage "sqlite" { ... }'))
        if len(stanzas) != 1:
            self._fail(entry.line, "expected one storage type")
        label, line, body = stanzas[0]
        self.storage = StorageStanza(label, self._plain(body), places=self._places(line, body))

    def _add_seal(self, entry: Entry) -> None:
        for label, line, body in self._labelled(entry, 'a seal type, like: seal "awskms" { ... }'):
            settings = self._plain(body)
            node = next((inner.node for inner in body.entries if inner.key == "disabled"), Node(False, line))
            settings.pop("disabled", None)
            disabled = self._value("disabled", bool, node)
            self._check_seal(label, line, disabled)
            self.seals.append(SealStanza(label, settings, disabled, places=self._places(line, body)))

    def _check_seal(self, label: str, line: int, disabled: bool) -> None:
        """There is one seal, or two during a migration: the one to leave is disabled."""
        if disabled and label == "shamir":
            self._fail(line, 'expected no seal "shamir" that is disabled: leave the stanza out')
        if len(self.seals) > 1:
            self._fail(line, "expected at most two seal stanzas, one of them with disabled = true")
        if self.seals and self.seals[0].disabled == disabled:
            found = "both are disabled" if disabled else "neither is disabled"
            self._fail(line, f"expected one of the two seal stanzas to have disabled = true, {found}")

    def _add_audit(self, entry: Entry) -> None:
        for kind, _line, inner in self._labelled(entry, 'a type and a path: audit "file" "name" { ... }'):
            for deeper in inner.entries:
                wanted = 'a type and a path: audit "file" "name" { ... }'
                if deeper.key in ("options", "description", "local", "path"):
                    self._fail(deeper.line, f"expected {wanted}")
                for path, line, body in self._labelled_by(deeper, wanted):
                    values = self._settings(
                        body, AuditStanza, frozenset(), skip={"type", "path", "places"}, where="audit"
                    )
                    if any(other.path == path for other in self.audit):
                        self._fail(line, f'expected another path, "{path}" is taken')
                    values["options"] = {
                        key: _option(value) for key, value in values.get("options", {}).items()
                    }
                    options = [entry.node.value for entry in body.entries if entry.key == "options"]
                    blocks = [block for block in options if isinstance(block, Object)]
                    values["places"] = self._places(line, *blocks)
                    self.audit.append(AuditStanza(kind, path, **values))

    def _add_user_lockout(self, entry: Entry) -> None:
        wanted = 'user_lockout "all", "userpass", "ldap" or "approle"'
        for label, line, body in self._labelled(entry, wanted):
            if label not in ("all", "userpass", "ldap", "approle"):
                self._fail(line, f'expected {wanted}, found "{label}"')
            values = self._settings(body, UserLockoutStanza, frozenset(), skip={"type"}, where="user_lockout")
            if values.get("lockout_threshold", 1) < 1:
                self._fail(line, "expected lockout_threshold to be at least 1")
            self.lockouts[label] = UserLockoutStanza(label, **values)

    # -- pieces ----------------------------------------------------------------------------------------------

    def _blocks(self, node: Node) -> Iterator[Object]:
        """A block, or a list of blocks, as JSON writes repeated ones."""
        if isinstance(node.value, tuple):
            for item in node.value:
                yield from self._blocks(item)
        elif isinstance(node.value, Object):
            yield node.value
        else:
            self._fail(node.line, f"expected a block in braces, found {node.describe()}")

    def _labelled(self, entry: Entry, wanted: str) -> Iterator[tuple[str, int, Object]]:
        for outer in self._blocks(entry.node):
            if not outer.entries:
                self._fail(entry.line, f"expected {wanted}")
            for label in outer.entries:
                yield from self._labelled_by(label, wanted)

    def _labelled_by(self, label: Entry, wanted: str) -> Iterator[tuple[str, int, Object]]:
        if not isinstance(label.node.value, (Object, tuple)):
            self._fail(label.line, f"expected {wanted}")
        for body in self._blocks(label.node):
            yield label.key, label.line, body

    def _settings(
        self, body: Object, shape: type, ignored: frozenset[str], *, skip: typing.Collection[str], where: str
    ) -> dict[str, Any]:
        """The keys of one block, each as the type its field is annotated with."""
        hints = {name: hint for name, hint in typing.get_type_hints(shape).items() if name not in skip}
        seen: dict[str, int] = {}
        values: dict[str, Any] = {}
        for entry in body.entries:
            if entry.key in seen:
                self._fail(
                    entry.line, f"expected {entry.key} once, it is already set on line {seen[entry.key]}"
                )
            seen[entry.key] = entry.line
            if entry.key in ignored:
                self.ignored.append(entry.key)
            elif entry.key not in hints:
                self._fail(
                    entry.line,
                    f"expected a key of {where}, {entry.key!r} is not one{_hint(entry.key, hints)}",
                )
            elif entry.node.value is not None:
                values[entry.key] = self._value(entry.key, hints[entry.key], entry.node)
        return values

    def _value(self, key: str, wanted: Any, node: Node) -> Any:
        try:
            value = convert(wanted, node)
        except Mismatch as error:
            self._fail(node.line, f"expected {key} to be {error}, found {node.describe()}")
        if key == "workers" and not 1 <= value <= _MAX_WORKERS:
            self._fail(node.line, f"expected workers to be 1 to {_MAX_WORKERS}")
        return value

    def _places(self, line: int, *blocks: Object) -> dict[str, str]:
        """Tell where a stanza stands (under ``""``), and each of its settings."""
        lines = {"": line} | {entry.key: entry.line for block in blocks for entry in block.entries}
        return {key: f"{self.file}:{number}" for key, number in lines.items()}

    def _plain(self, body: Object) -> dict[str, Any]:
        plain = Node(body, 0).plain()
        assert isinstance(plain, dict)
        return plain

    def _fail(self, line: int, expected: str) -> NoReturn:
        raise ConfigError(f"{self.file}:{line}: {expected}")


def _with_duration(listener: ListenerConfig, default: timedelta) -> ListenerConfig:
    """Fill in how long requests may take where the listener does not say."""
    if listener.max_request_duration:
        return listener
    return dataclasses.replace(listener, max_request_duration=default)


def _reserved_headers(listener: ListenerConfig) -> list[str]:
    """Name the configured headers that are the server's own, and so left out."""
    tables = [table for table in listener.custom_response_headers.values() if isinstance(table, Mapping)]
    return [f"custom_response_headers {name}" for table in tables for name in table if reserved(name)]


def _option(value: object) -> str:
    """Device options are strings; files also write them bare."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hint(key: str, known: Mapping[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
