"""``broker kv undelete|destroy|rollback|enable-versioning``: working with a secret's versions."""

from broker.cli.data import plain_path
from broker.cli.flags import Command, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.kv import MOUNT, VERSION, VERSIONS, locate, version_numbers
from broker.cli.output import print_reply
from broker.cli.verbs import print_written


def change_versions(run: Invocation) -> int:
    """Undelete or destroy the versions named."""
    kind = run.name.split()[-1]
    numbers = version_numbers(run, kind)
    mount, path = locate(run)
    if mount.version == 1:
        raise Failure(f"{kind.capitalize()} not supported on KV Version 1", 1)
    at = mount.join(kind, path)
    with run.doing(f"writing data to {at}"):
        reply = run.client.write(at, {"versions": numbers})
    return print_written(run, reply, f"Success! Data written to: {at}")


def rollback(run: Invocation) -> int:
    """Write an earlier version's data as a new version; ``cas`` keeps a write in between from being lost."""
    wanted = run.given.number("version")
    if not wanted or wanted < 1:
        raise UsageError('Version flag must be specified, use "-version" with a number from 1')
    mount, path = locate(run)
    if mount.version == 1:
        raise Failure("K/V engine mount must be version 2 for rollback support")
    at = mount.join("data", path)
    with run.doing(f"doing pre-read at {at}"), run.client.unwrapped():
        current, earlier = run.client.read(at), run.client.read(at, version=str(wanted))
    if current is None:
        raise Failure(f"No value found at {at}")
    if earlier is None or earlier.data.get("data") is None:
        raise Failure(f"No data found at {at} in version {wanted}; it may be deleted or destroyed")
    cas = current.data["metadata"]["version"]
    with run.doing(f"writing data to {at}"):
        reply = run.client.write(at, {"data": earlier.data["data"], "options": {"cas": cas}})
    return print_reply(run, reply)


def enable_versioning(run: Invocation) -> int:
    """Upgrade a version 1 engine."""
    path = plain_path(run.rest[0]) + "/"
    with run.doing(f"tuning secrets engine {path}"):
        run.client.write(f"sys/mounts/{path}tune", {"options": {"version": "2"}})
    run.say(f"Success! Tuned the secrets engine at: {path}")
    return 0


UNDELETE = Command(
    change_versions,
    "kv undelete [options] -versions=N PATH",
    "Undelete versions.",
    (MOUNT, VERSIONS),
    (1, 1),
    shows="answer",
)
DESTROY = Command(
    change_versions,
    "kv destroy [options] -versions=N PATH",
    "Remove versions for good; they cannot be undeleted.",
    (MOUNT, VERSIONS),
    (1, 1),
    shows="answer",
)
ROLLBACK = Command(
    rollback,
    "kv rollback [options] -version=N PATH",
    "Make an earlier version current.",
    (MOUNT, VERSION),
    (1, 1),
    wraps=True,
)
ENABLE_VERSIONING = Command(
    enable_versioning,
    "kv enable-versioning [options] MOUNT",
    "Upgrade a KV engine to version 2.",
    (),
    (1, 1),
    shows="answer",
)
