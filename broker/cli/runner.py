"""Runs one command: its flags, its help, and the one place where errors become words and exit codes."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module

from broker.cli.commands import Entry
from broker.cli.flags import Command, Flag, Shows, UsageError, check_arguments, parse
from broker.cli.invocation import Failure, Invocation, Rehearsed
from broker.plugin.errors import BrokerError

CONNECTION_FLAGS = (
    Flag(
        "address", "Address of the server: https://host:8200 or unix:///path. BROKER_ADDR.", aliases=("addr",)
    ),
    Flag("ca-cert", "PEM file with the CA that signed the server's certificate. BROKER_CACERT."),
    Flag("ca-path", "Directory of such PEM files. BROKER_CAPATH."),
    Flag("client-cert", "PEM file with a client certificate. BROKER_CLIENT_CERT."),
    Flag("client-key", "PEM file with its key. BROKER_CLIENT_KEY."),
    Flag("header", "Another HTTP header, key=value. May be repeated.", "pairs"),
    Flag("namespace", "Namespace to work in. BROKER_NAMESPACE.", aliases=("ns",)),
    Flag("non-interactive", "Never ask on the terminal.", "switch"),
    Flag("output-curl-string", "Print the request as a curl command line instead of sending it.", "switch"),
    Flag("output-policy", "Print the policy that the request needs instead of sending it.", "switch"),
    Flag("tls-server-name", "Name to ask for and check in the server's certificate. BROKER_TLS_SERVER_NAME."),
    Flag("tls-skip-verify", "Do not check the server's certificate: anyone may be listening.", "switch"),
    Flag("wrap-ttl", 'Wrap the answer in a token of this lifetime, such as "5m".', "duration"),
)
FIELD = Flag("field", "Print only this field, without a newline on a pipe.")
FORMAT = Flag("format", 'Print as "table", "json" or "yaml". BROKER_FORMAT.')
OUTPUT_FLAGS: Mapping[Shows, tuple[Flag, ...]] = {
    "fields": (FIELD, FORMAT),
    "answer": (FORMAT,),
    "sentence": (),
    "text": (),
}


def run(name: str, entry: Entry, words: list[str]) -> int:
    """Run the command ``name`` with the words after it and return its exit code."""
    module, _, attribute = entry.target.partition(":")
    command: Command = getattr(import_module(f"broker.cli.{module}"), attribute)
    if any(word in {"-h", "-help", "--help"} for word in _before_separator(words)):
        print(help_text(command))
        return 0
    try:
        given = parse(words, all_flags(command))
        check_arguments(given, *command.arguments)
        with Invocation(name, given) as invocation:
            if command.shows != "text":
                _ = invocation.format  # A wrong format is told before anything is done.
            return command.run(invocation)
    except Rehearsed as shown:
        print(shown)
        return 0
    except UsageError as error:
        return _complain(str(error), 1)
    except Failure as failure:
        return _complain(str(failure), failure.code)
    except BrokerError as error:
        return _complain(str(error), _code(error))
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except OSError as error:
        return _complain(f"{error.filename or name}: {error.strerror or type(error).__name__}", 1)
    except Exception as error:
        if os.environ.get("BROKER_DEBUG"):
            raise
        # The text of an unforeseen error may hold anything, a secret among it.
        return _complain(f"Internal error: {type(error).__name__} (BROKER_DEBUG=1 shows where)", 1)


def all_flags(command: Command) -> tuple[Flag, ...]:
    """A command's own flags and those it shares with all others."""
    return (*command.flags, *OUTPUT_FLAGS[command.shows], *_connection_flags(command))


def _connection_flags(command: Command) -> tuple[Flag, ...]:
    found = CONNECTION_FLAGS if command.connects else ()
    return found if command.wraps else tuple(flag for flag in found if flag.name != "wrap-ttl")


def help_text(command: Command) -> str:
    """What ``-h`` prints."""
    lines = [
        f"Usage: broker {command.usage}",
        "",
        *(f"  {line}".rstrip() for line in command.summary.splitlines()),
    ]
    sections = (
        ("Options", command.flags),
        ("Output options", OUTPUT_FLAGS[command.shows]),
        ("Connection options", _connection_flags(command)),
    )
    for title, flags in sections:
        if flags:
            lines += ["", f"{title}:", ""]
            lines += [
                f"  -{flag.name}{'' if flag.kind == 'switch' else '=...'}\n      {flag.help}"
                for flag in flags
            ]
    return "\n".join(lines)


def _before_separator(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _code(error: BrokerError) -> int:
    # By name, so that commands which never connect do not import the HTTP library.
    return 2 if any(base.__name__ == "ClientError" for base in type(error).__mro__) else 1


def _complain(text: str, code: int) -> int:
    sys.stdout.flush()
    print(text, file=sys.stderr)
    return code
