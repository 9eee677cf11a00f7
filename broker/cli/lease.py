"""``broker lease lookup|renew|revoke``."""

from broker.cli.data import Data, plain_path
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Invocation
from broker.cli.output import print_reply


def lookup(run: Invocation) -> int:
    """Print a lease's properties."""
    with run.doing(f"looking up lease id {run.rest[0]}"):
        return print_reply(run, run.client.write("sys/leases/lookup", {"lease_id": run.rest[0]}))


def renew(run: Invocation) -> int:
    """Extend a lease."""
    body: Data = {"lease_id": run.rest[0]}
    if run.given.text("increment"):
        body["increment"] = run.given.text("increment")
    with run.doing(f"renewing {run.rest[0]}"):
        return print_reply(run, run.client.write("sys/leases/renew", body))


def revoke(run: Invocation) -> int:
    """Revoke one lease, or all below a prefix; ``-force`` forgets those that cannot be revoked."""
    given, lease = run.given, run.rest[0]
    if given.switch("force") and not given.switch("prefix"):
        raise UsageError("Specifying -force requires also specifying -prefix")
    with run.doing(
        f"revoking leases with prefix {lease}" if given.switch("prefix") else f"revoking lease {lease}"
    ):
        if given.switch("force"):
            run.warn(
                "Warning! Force-removing leases can leave credentials alive that nobody tracks any more!"
            )
            run.client.write(f"sys/leases/revoke-force/{plain_path(lease)}")
            run.say(f"Success! Force revoked any leases with prefix: {lease}")
            return 0
        if given.switch("prefix"):
            run.client.write(f"sys/leases/revoke-prefix/{plain_path(lease)}", {"sync": given.switch("sync")})
        else:
            run.client.write("sys/leases/revoke", {"lease_id": lease, "sync": given.switch("sync")})
    if not given.switch("sync"):
        run.say("All revocation operations queued successfully!")
    elif given.switch("prefix"):
        run.say(f"Success! Revoked any leases with prefix: {lease}")
    else:
        run.say(f"Success! Revoked lease: {lease}")
    return 0


LOOKUP = Command(lookup, "lease lookup [options] ID", "Look up a lease.", (), (1, 1), wraps=True)
RENEW = Command(
    renew,
    "lease renew [options] ID",
    "Renew a lease.",
    (Flag("increment", 'By how long, such as "1h".', "duration", aliases=("i",)),),
    (1, 1),
    wraps=True,
)
REVOKE = Command(
    revoke,
    "lease revoke [options] ID",
    "Revoke a lease, and with it the secret it stands for.",
    (
        Flag("force", "Forget leases even where revoking fails. Needs -prefix.", "switch", aliases=("f",)),
        Flag("prefix", "ID is a prefix: revoke all below it.", "switch"),
        Flag("sync", "Wait until it is done.", "switch"),
    ),
    (1, 1),
    shows="sentence",
)
