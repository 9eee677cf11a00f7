"""``broker namespace create|list|lookup|delete``."""

from broker.cli.data import Data, plain_path
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_keys, print_reply, print_structure

AT = "sys/namespaces"


def create(run: Invocation) -> int:
    """Create a namespace below the one in use."""
    body: Data = {}
    if run.given.pairs("custom-metadata"):
        body["custom_metadata"] = run.given.pairs("custom-metadata")
    with run.doing("creating namespace"):
        reply = run.client.request("POST", f"{AT}/{plain_path(run.rest[0])}", body=body)
    if reply.data or reply.wrap_info:
        return print_reply(run, reply)
    run.say(f"Success! Namespace created at: {plain_path(run.rest[0])}/")
    return 0


def listing(run: Invocation) -> int:
    """Print the child namespaces; exit code 2 if there are none."""
    with run.doing("listing namespaces"):
        reply = run.client.list(AT)
    if reply is None or not reply.keys:
        if run.format != "table":
            print_structure(run, {})
            return 2
        raise Failure("No namespaces found")
    if run.given.switch("detailed") and reply.data.get("key_info"):
        print_structure(run, reply.data["key_info"])
    else:
        print_keys(run, reply.keys)
    return 0


def lookup(run: Invocation) -> int:
    """Print a namespace's properties; exit code 2 if there is none."""
    with run.doing("looking up namespace"):
        reply = run.client.read(f"{AT}/{plain_path(run.rest[0])}")
    if reply is None:
        raise Failure("Namespace not found")
    return print_reply(run, reply)


def delete(run: Invocation) -> int:
    """Delete a namespace with all that is in it."""
    path = plain_path(run.rest[0]) + "/"
    query = {"force": "true"} if run.given.switch("force") else {}
    with run.doing("deleting namespace"):
        reply = run.client.delete(f"{AT}/{path.rstrip('/')}", **query)
    going = reply.data.get("status") not in {None, "deleted"}
    run.say(
        f"Success! Namespace deletion scheduled: {path}"
        if going
        else f"Success! Namespace deleted at: {path}"
    )
    return 0


CREATE = Command(
    create,
    "namespace create [options] PATH",
    "Create a new namespace below the one in use (-namespace).",
    (Flag("custom-metadata", "A key=value to keep with it. May be repeated.", "pairs"),),
    (1, 1),
    wraps=True,
)
LIST = Command(
    listing,
    "namespace list [options]",
    "List child namespaces.",
    (Flag("detailed", "Print all that is known about each.", "switch"),),
    shows="answer",
)
LOOKUP = Command(lookup, "namespace lookup [options] PATH", "Look up a namespace.", (), (1, 1), wraps=True)
DELETE = Command(
    delete,
    "namespace delete [options] PATH",
    "Delete a namespace with its contents.",
    (Flag("force", "Forget leases that cannot be revoked.", "switch"),),
    (1, 1),
    shows="sentence",
)
