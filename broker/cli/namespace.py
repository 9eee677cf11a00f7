"""``broker namespace create|list|scan|lookup|patch|delete``."""

from broker.cli.data import Data, plain_path
from broker.cli.flags import DETAILED, Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_reply, print_structure
from broker.cli.verbs import print_names

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
    """Print the child namespaces, or with ``scan`` all below; exit code 2 if there are none."""
    scanning = run.name.endswith("scan")
    with run.doing(f"{'scanning' if scanning else 'listing'} namespaces"):
        reply = (run.client.scan if scanning else run.client.list)(AT)
    if reply is None or not reply.keys:
        if run.format != "table":
            print_structure(run, {})
            return 2
        raise Failure("No namespaces found")
    print_names(run, reply)
    return 0


def lookup(run: Invocation) -> int:
    """Print a namespace's properties; exit code 2 if there is none."""
    with run.doing("looking up namespace"):
        reply = run.client.read(f"{AT}/{plain_path(run.rest[0])}")
    if reply is None:
        raise Failure("Namespace not found")
    return print_reply(run, reply)


def patch(run: Invocation) -> int:
    """Change a namespace's metadata: keys that are given or removed; the others stay."""
    changes: Data = dict.fromkeys(run.given.texts("remove-custom-metadata"))
    changes |= run.given.pairs("custom-metadata")
    if not changes:
        raise UsageError("Must supply at least one of -custom-metadata or -remove-custom-metadata")
    with run.doing("patching namespace"):
        reply = run.client.patch(f"{AT}/{plain_path(run.rest[0])}", {"custom_metadata": changes})
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
    (DETAILED,),
    shows="answer",
)
SCAN = Command(
    listing,
    "namespace scan [options]",
    "List all namespaces below the one in use.",
    (DETAILED,),
    shows="answer",
)
PATCH = Command(
    patch,
    "namespace patch [options] PATH",
    "Change a namespace's metadata.",
    (
        Flag("custom-metadata", "A key=value to keep with it. May be repeated.", "pairs"),
        Flag("remove-custom-metadata", "Remove this key. May be repeated.", "texts"),
    ),
    (1, 1),
    wraps=True,
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
