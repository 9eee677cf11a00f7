"""``broker policy read|write|list|delete|fmt``."""

from pathlib import Path

from broker.cli.data import plain_path, read_input
from broker.cli.flags import Command, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure, warn_of
from broker.cli.tokenfile import write_like

AT = "sys/policies/acl"


def read(run: Invocation) -> int:
    """Print a policy's text; exit code 2 if there is none of that name."""
    name = run.rest[0]
    with run.doing(f"reading policy named {name}"):
        reply = run.client.read(f"{AT}/{plain_path(name)}")
    if reply is None:
        raise Failure(f"No policy named: {name}")
    text = str(reply.data.get("policy") or "")
    if not text.strip():  # as "root" is: it has no text
        raise Failure(f"No policy named: {name}")
    if run.format == "table":
        print(text.strip())
    else:
        print_structure(run, {"policy": text})
    return 0


def write(run: Invocation) -> int:
    """Upload a policy from a file, or from stdin for ``-``; what the server warns about goes to stderr."""
    name, source = run.rest
    try:
        text = read_input(source)
    except UsageError as error:
        raise Failure(
            f"Error opening policy file: {str(error).removeprefix('error reading file: ')}"
        ) from None
    with run.doing("uploading policy"):
        reply = run.client.write(f"{AT}/{plain_path(name)}", {"policy": text})
    warn_of(run, reply)
    run.say(f"Success! Uploaded policy: {name}")
    return 0


def listing(run: Invocation) -> int:
    """Print the policies' names."""
    with run.doing("listing policies"):
        reply = run.client.list(AT)
    names = reply.keys if reply else []
    if run.format == "table":
        print("\n".join(names))
    else:
        print_structure(run, names)
    return 0


def delete(run: Invocation) -> int:
    """Delete a policy; tokens that have it lose what it granted."""
    with run.doing(f"deleting {run.rest[0]}"):
        run.client.delete(f"{AT}/{plain_path(run.rest[0])}")
    run.say(f"Success! Deleted policy: {run.rest[0]}")
    return 0


def fmt(run: Invocation) -> int:
    """Rewrite a policy file in the usual layout; comments stay, the meaning is checked not to change."""
    from broker.cli.policyfmt import formatted

    source = run.rest[0]
    text = formatted(read_input(source))
    if source == "-":
        print(text, end="")
        return 0
    write_like(Path(source), text)
    print(f"Success! Formatted policy: {source}")
    return 0


READ = Command(read, "policy read [options] NAME", "Print a policy.", (), (1, 1), shows="answer")
WRITE = Command(write, "policy write [options] NAME FILE|-", "Upload a policy.", (), (2, 2), shows="sentence")
LIST = Command(listing, "policy list [options]", "List policies.", shows="answer")
DELETE = Command(delete, "policy delete [options] NAME", "Delete a policy.", (), (1, 1), shows="sentence")
FMT = Command(fmt, "policy fmt PATH|-", "Format a policy file.", (), (1, 1), connects=False, shows="text")
