"""The commands that are one request: read, write, patch, delete, list, scan, unwrap, path-help, version."""

import sys
from typing import Any

from broker.cli.argvsecret import secret_argument
from broker.cli.data import Data, parse_data, plain_path
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_keys, print_reply, print_structure, print_table, warn_of

PAGING = (
    Flag("after", "Start after this name."),
    Flag("limit", "Return at most this many names.", "number"),
    Flag("detailed", "Print what the server knows about each name.", "switch"),
)
FORCE = Flag("force", "Write even without data.", "switch", aliases=("f",))


def read(run: Invocation) -> int:
    """Read a path; exit code 2 if nothing is there."""
    path, words = plain_path(run.rest[0]), run.rest[1:]
    query = {key: str(value) for key, value in parse_data(words).items()}
    if run.format == "raw":
        with run.doing(f"reading {path}"):
            return _print_raw(run.client.read_raw(path, **query))
    with run.doing(f"reading {path}"):
        reply = run.client.read(path, **query)
    if reply is None:
        raise Failure(f"No value found at {path}")
    return print_reply(run, reply)


def _print_raw(content: bytes) -> int:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    if sys.stdout.isatty() and not content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
    return 0


def write(run: Invocation) -> int:
    """Write data to a path."""
    path, data = _target(run)
    with run.doing(f"writing data to {path}"):
        reply = run.client.write(path, data)
    return print_written(run, reply, f"Success! Data written to: {path}")


def patch(run: Invocation) -> int:
    """Change some fields at a path."""
    path, data = _target(run)
    with run.doing(f"writing data to {path}"):
        reply = run.client.patch(path, data)
    return print_written(run, reply, f"Success! Data written to: {path}")


def print_written(run: Invocation, reply: Any, success: str) -> int:
    """Print what a write answered, or that it succeeded if it answered nothing."""
    if reply.data or reply.auth or reply.wrap_info:
        return print_reply(run, reply)
    warn_of(run, reply)
    run.say(success)
    return 0


def _target(run: Invocation) -> tuple[str, Data]:
    path, *words = run.rest
    if not words and not run.given.switch("force"):
        raise UsageError("Must supply data or use -force")
    return plain_path(path), parse_data(words)


def delete(run: Invocation) -> int:
    """Delete what is at a path."""
    path, words = plain_path(run.rest[0]), run.rest[1:]
    with run.doing(f"deleting {path}"):
        reply = run.client.delete(path, **{key: str(value) for key, value in parse_data(words).items()})
    return print_written(run, reply, f"Success! Data deleted (if it existed) at: {path}")


def listing(run: Invocation) -> int:
    """List or scan below a path; exit code 2 if there is nothing."""
    path = plain_path(run.rest[0])
    scanning = run.name.endswith("scan")
    with run.doing(f"{'scanning' if scanning else 'listing'} {path}"):
        ask = run.client.scan if scanning else run.client.list
        reply = ask(path, **paging(run))
    return print_listing(run, reply, path, scanning=scanning)


def paging(run: Invocation) -> dict[str, str]:
    """The query of a listing in pages."""
    after, limit = run.given.text("after"), run.given.number("limit")
    return ({"after": after} if after else {}) | ({"limit": str(limit)} if limit else {})


def print_listing(run: Invocation, reply: Any, path: str, *, scanning: bool = False) -> int:
    """Print the names in an answer; exit code 2 if there are none."""
    if reply is None or (not reply.keys and not reply.wrap_info):
        if run.format != "table":
            print_structure(run, {})
            return 2
        raise Failure(f"No entries found at {path}" if scanning else f"No value found at {path}")
    if reply.wrap_info:
        return print_reply(run, reply)
    warn_of(run, reply)
    print_names(run, reply)
    return 0


def print_names(run: Invocation, reply: Any) -> None:
    """Print a listing's names; with ``-detailed`` what the server knows about each, a column for each property."""
    details = reply.data.get("key_info") if run.given.switch("detailed") else None
    if not details:
        print_keys(run, reply.keys)
    elif run.format != "table":
        print_structure(run, details)
    else:
        columns = sorted({name for row in details.values() for name in row})
        rows = [
            [key, *(details.get(key, {}).get(name, "") for name in columns)] for key in sorted(reply.keys)
        ]
        print_table(["Keys", *columns], rows)


def unwrap(run: Invocation) -> int:
    """Fetch what a wrapping token holds; without an argument, the token in use is the wrapping token."""
    if run.rest:
        token = secret_argument(run, run.rest[0], "Wrapping token")
        client = run.client
        with run.doing("unwrapping"):
            # Sent in the body when we have a token of our own, else as the token itself.
            if client.token:
                return print_reply(run, client.write("sys/wrapping/unwrap", {"token": token.reveal()}))
            client.token = token
    with run.doing("unwrapping"):
        return print_reply(run, run.client.write("sys/wrapping/unwrap"))


def path_help(run: Invocation) -> int:
    """Print the server's help on a path."""
    path = plain_path(run.rest[0])
    with run.doing("retrieving help"):
        reply = run.client.read(path, help="1")
    if reply is None:
        raise Failure(f"No help for {path}")
    if run.format == "table":
        print(str(reply.body.get("help", "")).rstrip())
    else:
        print_structure(run, reply.body)
    return 0


def version(run: Invocation) -> int:
    """Print our version; as an object only if the flag asks for it, since scripts read the line."""
    from importlib.metadata import version as installed

    if run.given.text("format") is not None and run.format != "table":
        print_structure(run, {"name": "Broker", "version": installed("broker")})
    else:
        print(f"Broker v{installed('broker')}")
    return 0


READ = Command(
    read, "read [options] PATH [K=V...]", "Read data and retrieve secrets.", arguments=(1, None), wraps=True
)
WRITE = Command(
    write,
    "write [options] PATH [DATA K=V...]",
    'Write data. "@" reads a value or a whole JSON object from a file, "-" from stdin:\n\n'
    "    broker write auth/userpass/users/bob password=-\n    broker write secret/raw @data.json",
    (FORCE,),
    (1, None),
    wraps=True,
)
PATCH = Command(
    patch,
    "patch [options] PATH [DATA K=V...]",
    "Change some fields by merge patch.",
    (FORCE,),
    (1, None),
    wraps=True,
)
DELETE = Command(
    delete, "delete [options] PATH", "Delete secrets and configuration.", arguments=(1, None), wraps=True
)
LIST = Command(
    listing, "list [options] PATH", "List data or secrets.", PAGING, (1, 1), shows="answer", wraps=True
)
SCAN = Command(
    listing,
    "scan [options] PATH",
    "List data or secrets at any depth.",
    PAGING,
    (1, 1),
    shows="answer",
    wraps=True,
)
UNWRAP = Command(
    unwrap,
    "unwrap [options] [TOKEN | - | @FILE]",
    "Fetch what a wrapping token holds. It works once.",
    arguments=(0, 1),
    wraps=True,
)
PATH_HELP = Command(
    path_help,
    "path-help [options] PATH",
    "Print the server's help on a path.",
    arguments=(1, 1),
    shows="answer",
)
VERSION = Command(version, "version", "Print the version.", connects=False, shows="answer")
