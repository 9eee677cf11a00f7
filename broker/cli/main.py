"""The ``broker`` command: find the command, read its flags, run it, turn what goes wrong into an exit code.

Exit codes are Vault's: 0 done, 1 a mistake on our side (usage, a file, a prompt), 2 the server's refusal or absence,
127 no such command. Nothing heavy is imported here: ``broker -h`` answers from two tables.
"""

import os
import sys
from importlib import import_module

from broker.cli.commands import COMMANDS, COMMON, GROUPS, children

HELP = frozenset({"-h", "-help", "--help"})
VERSION = frozenset({"-v", "-version", "--version"})


def main(argv: list[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(words: list[str]) -> int:
    if words and words[0] in VERSION:
        words = ["version"]
    name, rest = _longest_name(words)
    if name == "server":
        # The server has its own flags, its own help and its own imports.
        return int(import_module("broker.server.command").main(rest))
    if name in COMMANDS:
        from broker.cli.runner import run

        return run(name, COMMANDS[name], rest)
    if rest and rest[0] not in HELP:
        print(f"unknown command: {(name + ' ' + rest[0]).strip()}\n", file=sys.stderr)
        print(_group_help(name), file=sys.stderr)
        return 1 if name else 127
    print(_group_help(name), file=sys.stdout if rest else sys.stderr)
    return 0 if rest else (1 if name else 127)


def _longest_name(words: list[str]) -> tuple[str, list[str]]:
    """Split off the longest run of words that names a command or a group."""
    best = 0
    for length in range(1, min(3, len(words)) + 1):
        name = " ".join(words[:length])
        if name in COMMANDS or name in GROUPS:
            best = length
    return " ".join(words[:best]), words[best:]


def _group_help(group: str) -> str:
    found = children(group)
    if group:
        return (
            f"Usage: broker {group} <subcommand> [options] [args]\n\n  {GROUPS[group]}.\n\nSubcommands:\n"
            + _columns(found)
        )
    common = {name: found.pop(name) for name in COMMON}
    return (
        "Usage: broker <command> [options] [args]\n\nCommon commands:\n"
        + _columns(common)
        + "\n\nOther commands:\n"
        + _columns(found)
        + "\n\nThe server's address and the token come from BROKER_ADDR and BROKER_TOKEN (or VAULT_*, BAO_*).\n"
        "`broker <command> -h` prints a command's options."
    )


def _columns(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"    {name:<{width}}    {summary}" for name, summary in rows.items())


if __name__ == "__main__":
    sys.exit(main())
