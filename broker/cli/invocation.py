"""One run of one command: its arguments, its client, its output."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from broker.cli.flags import Given, UsageError
from broker.plugin.errors import BrokerError
from broker.plugin.secret import Secret

if TYPE_CHECKING:
    from broker.client import Client

FORMATS = ("table", "json", "yaml")


class Failure(Exception):
    """The command did not succeed; the text is for the user. ``code`` is the exit code: 2 for the server's no."""

    def __init__(self, text: str, code: int = 2) -> None:
        super().__init__(text)
        self.code = code


class Rehearsed(Exception):
    """What would be sent, to be shown instead; ends the command, successfully."""


class Invocation:
    """What a command's function gets. Values that must not be seen come out as ``Secret``."""

    def __init__(self, name: str, given: Given, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.given = given
        self.environ = os.environ if environ is None else environ
        self._opened: Client | None = None

    def __enter__(self) -> "Invocation":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._opened is not None:
            self._opened.close()

    @property
    def rest(self) -> list[str]:
        """The arguments."""
        return self.given.rest

    @property
    def out(self) -> TextIO:
        """Where answers go."""
        return sys.stdout

    @property
    def interactive(self) -> bool:
        """Whether someone sits at the terminal and may be asked."""
        return sys.stdin.isatty() and not self.given.switch("non-interactive")

    @property
    def rehearsing(self) -> bool:
        """Whether the request is to be shown, not sent."""
        return self.given.switch("output-curl-string") or self.given.switch("output-policy")

    @cached_property
    def format(self) -> str:
        """``table``, ``json`` or ``yaml``, of ``read`` also ``raw``. Raises: UsageError for anything else."""
        from broker.client.settings import variable

        chosen = (self.given.text("format") or variable(self.environ, "FORMAT") or "table").lower()
        chosen = "yaml" if chosen == "yml" else chosen
        if chosen == "raw" and self.name == "read":
            return chosen
        if chosen == "raw":
            raise UsageError("This command does not support the -format=raw option.")
        if chosen not in FORMATS:
            raise UsageError(f"Invalid output format: {chosen}")
        return chosen

    @cached_property
    def client(self) -> "Client":
        """A client for the server and token that flags, environment and the token file name."""
        opened = self.new_client(self.token)
        self._opened = opened
        return opened

    @cached_property
    def token(self) -> Secret[str] | None:
        """The token in use: the environment's, else the one that ``broker login`` kept."""
        from broker.cli.tokenfile import load_token
        from broker.client import Settings

        return Settings.from_env(self.environ).token or load_token(self.environ)

    def new_client(self, token: Secret[str] | None) -> "Client":
        """A client for the same server as another token; the caller closes it."""
        from broker.client import Client, Settings, Tls

        env, given = Settings.from_env(self.environ), self.given
        tls = Tls(
            given.text("ca-cert") or env.tls.ca_cert,
            given.text("ca-path") or env.tls.ca_path,
            given.text("client-cert") or env.tls.client_cert,
            given.text("client-key") or env.tls.client_key,
            given.text("tls-server-name") or env.tls.server_name,
            given.switch("tls-skip-verify") or env.tls.skip_verify,
        )
        for header in given.pairs("header"):
            if header.lower().startswith("x-vault-"):
                raise UsageError("headers that begin with X-Vault- are the client's own")
        client = Client(
            given.text("address") or env.address,
            token,
            (given.text("namespace") or env.namespace).strip("/"),
            tls=tls,
            headers=given.pairs("header"),
            wrap_ttl=given.text("wrap-ttl"),
        )
        if not self.rehearsing:
            return client
        from broker.cli.rehearsal import rehearsing_client

        return rehearsing_client(self, client, tls)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Put "Error <what>: " before what the server refuses."""
        from broker.client import ClientError

        try:
            yield
        except ClientError as error:
            raise Failure(f"Error {what}: {error}") from None
        except BrokerError as error:
            raise Failure(f"Error {what}: {error}", 1) from None

    def say(self, text: str) -> None:
        """Print a sentence for a human; silent when the output is for a program."""
        if self.format == "table":
            print(text, file=self.out)

    def warn(self, text: str) -> None:
        """Print a sentence beside the answer, on stderr."""
        sys.stdout.flush()
        print(text, file=sys.stderr)
