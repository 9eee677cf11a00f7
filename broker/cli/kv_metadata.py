"""``broker kv metadata get|put|patch|delete``: the settings and version history of a secret."""

from broker.cli.data import Data
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.kv import MOUNT, locate, print_headed, print_path
from broker.cli.output import print_reply
from broker.cli.verbs import print_written

SETTINGS = (
    Flag("cas-required", "Refuse writes without the current version's number.", "switch"),
    Flag("custom-metadata", "A key=value to keep with the secret. May be repeated.", "pairs"),
    Flag("delete-version-after", 'Delete each version after this time, such as "30d".', "duration"),
    Flag("max-versions", "How many versions to keep.", "number"),
)
REMOVE = Flag("remove-custom-metadata", "Remove this key. May be repeated.", "texts")


def _at(run: Invocation) -> str:
    mount, path = locate(run)
    if mount.version == 1:
        raise Failure("Metadata not supported on KV Version 1", 1)
    return mount.join("metadata", path)


def get(run: Invocation) -> int:
    """Print a secret's settings and its versions."""
    at = _at(run)
    with run.doing(f"reading {at}"):
        reply = run.client.read(at)
    if reply is None:
        raise Failure(f"No value found at {at}")
    if run.format != "table" or run.given.text("field") is not None or reply.wrap_info:
        return print_reply(run, reply)
    settings = dict(reply.data)
    versions: Data = settings.pop("versions", None) or {}
    print_path("Metadata Path", at)
    print()
    print_headed("Metadata", settings)
    for number in sorted(versions, key=int):
        print()
        print_headed(f"Version {number}", versions[number])
    return 0


def put(run: Invocation) -> int:
    """Replace a secret's settings, or with ``patch`` change those given."""
    at, settings = _at(run), _settings(run)
    patching = run.name.endswith("patch")
    with run.doing(f"writing data to {at}"):
        reply = run.client.patch(at, settings) if patching else run.client.write(at, settings)
    return print_written(run, reply, f"Success! Data written to: {at}")


def _settings(run: Invocation) -> Data:
    given = run.given
    custom: Data = dict(given.pairs("custom-metadata")) | dict.fromkeys(given.texts("remove-custom-metadata"))
    found: Data = {
        "cas_required": given.maybe("cas-required"),
        "delete_version_after": given.text("delete-version-after"),
        "max_versions": given.number("max-versions"),
        "custom_metadata": custom or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def delete(run: Invocation) -> int:
    """Delete all versions and the metadata of a secret, for good."""
    at = _at(run)
    with run.doing(f"deleting {at}"):
        reply = run.client.delete(at)
    return print_written(run, reply, f"Success! Data deleted (if it existed) at: {at}")


GET = Command(
    get, "kv metadata get [options] PATH", "Print a secret's metadata.", (MOUNT,), (1, 1), wraps=True
)
PUT = Command(
    put,
    "kv metadata put [options] PATH",
    "Set a secret's settings.",
    (MOUNT, *SETTINGS),
    (1, 1),
    shows="answer",
)
PATCH = Command(
    put,
    "kv metadata patch [options] PATH",
    "Change some of a secret's settings.",
    (MOUNT, *SETTINGS, REMOVE),
    (1, 1),
    shows="answer",
)
DELETE = Command(
    delete,
    "kv metadata delete [options] PATH",
    "Delete a secret with all its versions.",
    (MOUNT,),
    (1, 1),
    shows="sentence",
)
