"""``broker operator unseal|seal|rotate|key-status|step-down``."""

from datetime import datetime

from broker.cli.data import Data
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Invocation
from broker.cli.output import print_structure, print_table
from broker.cli.sealstatus import print_status
from broker.cli.shares import read_share


def unseal(run: Invocation) -> int:
    """Submit one key share, or start over; prints the progress."""
    with run.doing("unsealing"):
        if run.given.switch("reset"):
            with run.client.unwrapped():
                status = run.client.request("GET", "sys/seal-status").body
            body: Data = {"reset": True, "nonce": status.get("nonce") or ""}
        else:
            body = {"key": read_share(run).reveal(), "migrate": run.given.switch("migrate")}
        status = run.client.write("sys/unseal", body).body
    print_status(run, status)
    return 0


def seal(run: Invocation) -> int:
    """Seal the server."""
    with run.doing("sealing"):
        run.client.write("sys/seal")
    run.say("Success! Vault is sealed.")
    return 0


def step_down(run: Invocation) -> int:
    """Make the active node give way to another."""
    with run.doing("stepping down"):
        run.client.write("sys/step-down")
    run.say(f"Success! Stepped down: {run.client.address}")
    return 0


def key_status(run: Invocation) -> int:
    """Print the active encryption key's term and age."""
    with run.doing("reading key status"):
        data = run.client.request("GET", "sys/key-status").data
    return _print_key(run, data)


def rotate(run: Invocation) -> int:
    """Put a new encryption key in use; the old ones go on decrypting what they encrypted."""
    from broker.client import ApiError

    with run.doing("rotating key"):
        try:
            run.client.request("POST", "sys/rotate/keyring")
        except ApiError as error:
            if error.status not in {404, 405}:
                raise
            run.client.request("POST", "sys/rotate")
    with run.doing("reading key status"):
        data = run.client.request("GET", "sys/key-status").data
    run.say("Success! Rotated key\n")
    return _print_key(run, data)


def _print_key(run: Invocation, data: Data) -> int:
    if run.format != "table":
        print_structure(run, data)
        return 0
    rows = [("Key Term", data.get("term")), ("Install Time", _when(str(data.get("install_time") or "")))]
    print_table(None, [*rows, ("Encryption Count", data.get("encryptions", data.get("encryption_count")))])
    return 0


def _when(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%d %b %y %H:%M UTC")
    except ValueError:
        return text


UNSEAL = Command(
    unseal,
    "operator unseal [options] [- | @FILE]",
    "Submit one unseal key share.\n\n"
    "It is asked for without echo: words (four letters of each are enough), or hex or base64. Or pipe it in with\n"
    '"-", or name a file with "@FILE". It is never taken from the command line, where others can see it.',
    (
        Flag("migrate", "The share migrates the server to another seal.", "switch"),
        Flag("reset", "Forget the shares given so far.", "switch"),
    ),
    (0, 1),
    shows="answer",
)
SEAL = Command(
    seal,
    "operator seal [options]",
    "Seal the server: nothing is served until it is unsealed.",
    shows="sentence",
)
STEP_DOWN = Command(
    step_down, "operator step-down [options]", "Make the active node give way to another.", shows="sentence"
)
KEY_STATUS = Command(
    key_status, "operator key-status [options]", "Print the encryption key's term and age.", shows="answer"
)
ROTATE = Command(rotate, "operator rotate [options]", "Put a new encryption key in use.", shows="answer")
