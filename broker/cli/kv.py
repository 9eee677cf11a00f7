"""``broker kv get|put|patch|delete|list|scan``: one command set for both versions of the KV engine."""

from broker.cli.data import Data, parse_data, plain_path
from broker.cli.flags import Command, Flag, UsageError, check_arguments
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_field, print_pairs, print_reply
from broker.cli.verbs import PAGING, paging, print_listing, print_written
from broker.client import ApiError, KvMount, Reply, find_mount

MOUNT = Flag("mount", "The engine's mount, so that PATH is relative to it.")
VERSION = Flag("version", "Which version; the current one if left out.", "number")
VERSIONS = Flag("versions", "Which versions: numbers, comma-separated or repeated.", "texts")
CAS = Flag("cas", "Write only if this is the current version; 0: only if nothing is there.", "number")


def locate(run: Invocation) -> tuple[KvMount, str]:
    """The engine that serves the path argument, and the whole path."""
    whole = plain_path("/".join((run.given.text("mount") or "", *run.rest[:1])))
    try:
        return find_mount(run.client, whole), whole
    except ApiError as error:
        raise Failure(str(error)) from None


def version_numbers(run: Invocation, what: str) -> list[int]:
    """The numbers given with ``-versions``. Raises: UsageError if there are none or one is not a number."""
    texts = [part for text in run.given.texts("versions") for part in text.split(",") if part.strip()]
    if not texts:
        raise UsageError(f'No versions provided, use the "-versions" flag to specify the version to {what}.')
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise UsageError("-versions takes whole numbers, separated by commas") from None


def get(run: Invocation) -> int:
    """Print a secret; for version 2 of the engine its version's metadata too."""
    mount, path = locate(run)
    version = run.given.number("version")
    at = mount.join("data", path)
    with run.doing(f"reading {at}"):
        reply = run.client.read(at, **({"version": str(version)} if version else {}))
    if reply is None:
        raise Failure(f"No value found at {at}")
    if mount.version == 1 or reply.wrap_info or "metadata" not in reply.data:
        return _print_plain(run, reply)
    if (field := run.given.text("field")) is not None:
        print_field(run, reply.data.get("data") or {}, field, where="map")
        return 0
    if run.format != "table":
        return print_reply(run, reply)
    _print_versioned(at, reply)
    return 0


def _print_plain(run: Invocation, reply: Reply) -> int:
    if run.format == "table" and run.given.text("field") is None and not reply.wrap_info:
        print_headed("Data", reply.data)
        return 0
    rows = None if reply.wrap_info else sorted(reply.data.items())
    return print_reply(run, reply, rows)


def _print_versioned(at: str, reply: Reply) -> None:
    print_path("Secret Path", at)
    print()
    print_headed("Metadata", reply.data["metadata"])
    if reply.data.get("data"):
        print()
        print_headed("Data", reply.data["data"])


def print_path(title: str, path: str) -> None:
    """Print a path below its heading, as Vault does."""
    print(padded(title, len(path)))
    print(path)


def print_headed(title: str, fields: Data) -> None:
    """Print a heading and a table of fields."""
    print(padded(title, max(map(len, fields), default=0) + 9))
    print_pairs([(key, "n/a" if fields[key] == "" else fields[key]) for key in sorted(fields)])


def padded(title: str, width: int) -> str:
    """A heading among equal signs, about as wide as what stands below it.

    >>> padded("Secret Path", 15)
    '= Secret Path ='
    """
    signs = width - len(title) - 2
    signs = 4 if signs <= 0 else signs + signs % 2
    return f"{'=' * (signs // 2)} {title} {'=' * (signs // 2)}"


def put(run: Invocation) -> int:
    """Set a secret's data, as a new version where the engine keeps versions."""
    if len(run.rest) < 2:
        raise UsageError("Must supply data")
    data = parse_data(run.rest[1:])
    mount, path = locate(run)
    at = mount.join("data", path)
    with run.doing(f"writing data to {at}"):
        reply = run.client.write(at, data if mount.version == 1 else {"data": data, "options": _options(run)})
    return print_version(run, reply, at)


def print_version(run: Invocation, reply: Reply, at: str) -> int:
    """Print what a write to a versioned engine answers: the new version's metadata."""
    if not reply.data or reply.wrap_info or run.format != "table" or run.given.text("field") is not None:
        return print_written(run, reply, f"Success! Data written to: {at}")
    print_path("Secret Path", at)
    print()
    print_headed("Metadata", reply.data)
    return 0


def _options(run: Invocation) -> Data:
    cas = run.given.number("cas")
    return {} if cas is None else {"cas": cas}


def patch(run: Invocation) -> int:
    """Change some fields of a secret; ``-remove-data`` removes fields."""
    removed: Data = dict.fromkeys(run.given.texts("remove-data"))
    if len(run.rest) < 2 and not removed:
        raise UsageError("Must supply data")
    data = parse_data(run.rest[1:]) | removed
    method = run.given.text("method")
    if method not in {None, "patch", "rw"}:
        raise UsageError('-method must be "patch" or "rw"')
    mount, path = locate(run)
    if mount.version == 1:
        raise Failure("K/V engine mount must be version 2 for patch support")
    at = mount.join("data", path)
    with run.doing(f"writing data to {at}"):
        reply = _patched(run, at, data, method)
    return print_version(run, reply, at)


def _patched(run: Invocation, at: str, data: Data, method: str | None) -> Reply:
    if method == "rw":
        return _read_then_write(run, at, data)
    try:
        return run.client.patch(at, {"data": data, "options": _options(run)})
    except ApiError as error:
        if error.status != 405 or method == "patch":
            raise
        return _read_then_write(run, at, data)


def _read_then_write(run: Invocation, at: str, changes: Data) -> Reply:
    """Merge on our side, for servers without PATCH; ``cas`` keeps a concurrent write from being lost."""
    with run.client.unwrapped():
        current = run.client.read(at)
    if current is None or not current.data.get("data"):
        raise Failure(f"No value found at {at}")
    merged = {key: value for key, value in (current.data["data"] | changes).items() if value is not None}
    options: Data = {"cas": current.data["metadata"]["version"]} | _options(run)
    return run.client.write(at, {"data": merged, "options": options})


def delete(run: Invocation) -> int:
    """Delete a secret's current version, or those named."""
    numbers = version_numbers(run, "delete") if run.given.texts("versions") else []
    mount, path = locate(run)
    if numbers and mount.version == 1:
        raise Failure("Versions not supported on KV Version 1", 1)
    at = mount.join("delete" if numbers else "data", path)
    with run.doing(f"deleting {at}"):
        reply = run.client.write(at, {"versions": numbers}) if numbers else run.client.delete(at)
    return print_written(run, reply, f"Success! Data deleted (if it existed) at: {at}")


def listing(run: Invocation) -> int:
    """List or scan secrets; with ``-mount`` alone, those at its top."""
    if run.given.text("mount") is None:
        check_arguments(run.given, 1, 1)
    mount, path = locate(run)
    at = mount.join("metadata", path)
    scanning = run.name == "kv scan"
    with run.doing(f"{'scanning' if scanning else 'listing'} {at}"):
        ask = run.client.scan if scanning else run.client.list
        reply = ask(at.rstrip("/"), **paging(run))
    return print_listing(run, reply, at.rstrip("/"), scanning=scanning)


GET = Command(get, "kv get [options] PATH", "Retrieve a secret.", (MOUNT, VERSION), (1, 1), wraps=True)
PUT = Command(
    put,
    "kv put [options] PATH [DATA K=V...]",
    'Set a secret. "@" reads a value or a whole JSON object from a file, "-" from stdin:\n\n'
    "    broker kv put secret/app password=-\n    broker kv put -mount=secret app @data.json",
    (MOUNT, CAS),
    (1, None),
    wraps=True,
)
PATCH = Command(
    patch,
    "kv patch [options] PATH [DATA K=V...]",
    "Change some fields of a secret and keep the others.",
    (
        MOUNT,
        CAS,
        Flag("method", '"patch" asks the server to merge, "rw" merges here. Default: patch, else rw.'),
        Flag("remove-data", "Remove this field. May be repeated.", "texts"),
    ),
    (1, None),
    wraps=True,
)
DELETE = Command(
    delete, "kv delete [options] PATH", "Delete versions of a secret.", (MOUNT, VERSIONS), (1, 1), wraps=True
)
LIST = Command(
    listing, "kv list [options] [PATH]", "List secrets.", (MOUNT, *PAGING), (0, 1), shows="answer", wraps=True
)
SCAN = Command(
    listing,
    "kv scan [options] [PATH]",
    "List secrets at any depth.",
    (MOUNT, *PAGING),
    (0, 1),
    shows="answer",
    wraps=True,
)
