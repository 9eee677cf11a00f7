"""The ``broker server`` command."""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from broker.plugin.errors import BrokerError, ConfigError
from broker.server.config import load_config
from broker.server.devtoken import dev_token, keep_out_of_sight
from broker.server.settings import SealStanza, ServerConfig

__all__ = ["main"]

_COMPOSE = "broker.server.compose"
_SEAL_TYPE = ("BROKER_SEAL_TYPE", "BAO_SEAL_TYPE", "VAULT_SEAL_TYPE")
_DESCRIPTION = """\
Start a server that answers API requests: sealed, from configuration files, or unsealed in memory with -dev.

  $ broker server -config=/etc/broker/config.hcl
  $ broker server -dev -dev-root-token-id=root
"""


def main(args: list[str]) -> int:
    """Run ``broker server ARGS``; returns or exits with the process's exit status, 1 for a mistake."""
    try:
        keep_out_of_sight(args)
        options = _parser().parse_args(args)
        _run(options)
    except _Usage as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (BrokerError, RuntimeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


class _Usage(Exception):
    """The command line is not understood."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message} (see broker server -h)")


def _parser() -> _Parser:
    parser = _Parser(
        "broker server",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    config, dev, any_mode = (parser.add_argument_group(name) for name in ("configuration", "-dev", "both"))
    config.add_argument(
        "-config",
        "--config",
        action="append",
        default=[],
        metavar="PATH",
        help="file or folder; may be repeated",
    )
    config.add_argument(
        "-accept-rollback",
        "--accept-rollback",
        action="store_true",
        help="open a store that was put back to an earlier state, and end every token in it",
    )
    dev.add_argument("-dev", "--dev", action="store_true", help="in memory, unsealed, KV v2 at secret/")
    dev.add_argument(
        "-dev-root-token-id",
        "--dev-root-token-id",
        metavar="TOKEN",
        help="the root token to create, or @FILE",
    )
    dev.add_argument(
        "-dev-listen-address", "--dev-listen-address", metavar="HOST:PORT", help="default 127.0.0.1:8200"
    )
    dev.add_argument("-dev-tls", "--dev-tls", action="store_true", help="with a certificate made on the spot")
    dev.add_argument(
        "-dev-no-store-token",
        "--dev-no-store-token",
        action="store_true",
        help="do not keep the token for the CLI",
    )
    any_mode.add_argument(
        "-log-level", "--log-level", choices=["trace", "debug", "info", "warn", "error"], metavar="LEVEL"
    )
    any_mode.add_argument("-log-format", "--log-format", choices=["standard", "json"], metavar="FORMAT")
    any_mode.add_argument("-workers", "--workers", type=int, metavar="N", help="default: one per core")
    return parser


def _run(options: argparse.Namespace) -> None:
    config = _configuration(options)
    from broker.server.hardening import harden

    harden()
    from broker.server.application import serve
    from broker.server.preflight import preflight
    from broker.server.summary import Summary

    compose = importlib.import_module(_COMPOSE)
    prepare = getattr(compose, "prepare", None)
    shared = prepare(config) if prepare is not None else None
    bootstrap, leaving = None, ""
    if config.dev:
        bootstrap = _dev_bootstrap(compose.dev_bootstrap, options)
    elif hasattr(compose, "seal_to_leave"):
        leaving = preflight(lambda: compose.seal_to_leave(shared))
    serve(
        config,
        compose.create_app,
        shared=shared,
        bootstrap=bootstrap,
        banner=Summary(config, leaving).lines,
    )


def _configuration(options: argparse.Namespace) -> ServerConfig:
    if options.dev:
        if options.config:
            raise _Usage("-dev takes no -config")
        from broker.server.dev import dev_config

        config = dev_config(_dev_address(options), tls=options.dev_tls)
    elif options.config:
        config = _seal_of_environment(load_config([Path(path) for path in options.config]))
    else:
        raise _Usage("expected -config=FILE or -dev")
    return _override(config, options)


def _seal_of_environment(config: ServerConfig) -> ServerConfig:
    """Let the environment choose the type of the seal; its stanza, if there is one, keeps its settings."""
    import dataclasses

    wanted = next((os.environ[name] for name in _SEAL_TYPE if os.environ.get(name)), "")
    if not wanted or any(seal.type == wanted for seal in config.seals if not seal.disabled):
        return config
    left = tuple(seal for seal in config.seals if seal.disabled)
    return dataclasses.replace(config, seals=(*left, SealStanza(wanted)))


def _override(config: ServerConfig, options: argparse.Namespace) -> ServerConfig:
    """Command line over environment over file."""
    import dataclasses

    changes: dict[str, Any] = {"accept_rollback": options.accept_rollback}
    if options.accept_rollback and config.rollback_anchor is None:
        raise _Usage("-accept-rollback is for a configuration with a rollback_anchor")
    if options.workers is not None:
        if not 1 <= options.workers <= 128:
            raise _Usage("expected -workers to be 1 to 128")
        changes["workers"] = options.workers
    if options.log_level:
        changes["log_level"] = options.log_level
    if options.log_format:
        changes["log_format"] = options.log_format
    return dataclasses.replace(config, **changes)


def _dev_address(options: argparse.Namespace) -> str:
    from broker.server.sockets import split_address

    address = options.dev_listen_address or os.environ.get("VAULT_DEV_LISTEN_ADDRESS") or "127.0.0.1:8200"
    try:
        split_address(address)
    except ValueError as error:
        raise ConfigError(f"-dev-listen-address: {error}, like 127.0.0.1:8200") from error
    return str(address)


def _dev_bootstrap(bootstrap: Any, options: argparse.Namespace) -> Any:
    from broker.server.dev import DevBootstrap

    token = dev_token(options.dev_root_token_id, os.environ)
    return DevBootstrap(bootstrap, token, store_token=not options.dev_no_store_token)
