"""``broker operator rekey``, also called ``rotate-keys``: new shares for old, by a quorum of the old ones."""

from dataclasses import dataclass, replace
from typing import Any

from broker.cli.attempt import nonce_of, supported
from broker.cli.data import Data
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.operator_init import share_lines
from broker.cli.output import print_pairs, print_structure
from broker.cli.sealstatus import progress_rows
from broker.cli.shareflags import SHARE_FLAGS, share_request
from broker.cli.shares import read_share

BASES = {
    "barrier": ("sys/rekey", "sys/rotate/root"),
    "recovery": ("sys/rekey-recovery-key", "sys/rotate/recovery"),
}
BACKUPS = {"sys/rekey": "sys/rekey/backup", "sys/rekey-recovery-key": "sys/rekey/recovery-key-backup"}


@dataclass(frozen=True, slots=True)
class Words:
    """How the two names of the command differ in what they say."""

    noun: str
    doing: str
    progress: str


REKEYING = Words("rekey", "rekeying", "Rekey Progress")
ROTATING = Words("rotation", "rotation", "Progress")


def _rotating(run: Invocation) -> bool:
    return run.name.endswith("rotate-keys")


def _words(run: Invocation) -> Words:
    return ROTATING if _rotating(run) else REKEYING


def _base(run: Invocation, target: str) -> str:
    """Where the server has it; the newer name of the command looks at the newer path first."""
    bases = BASES[target]
    with run.doing(f"reading {_words(run).noun} status"):
        return supported(run.client, bases[::-1] if _rotating(run) else bases, "init")


def rekey(run: Invocation) -> int:
    """Start, continue, verify, cancel or show a rekey, as the flags say."""
    given = run.given
    target = (given.text("target") or "barrier").strip().lower()
    if target not in BASES:
        raise UsageError(f"Unknown target: {target}; use -target=barrier or -target=recovery")
    if given.switch("backup-retrieve") or given.switch("backup-delete"):
        return _backup(run, target)
    base = _base(run, target)
    if given.switch("init"):
        return _start(run, base, target)
    at = f"{base}/{'verify' if given.switch('verify') else 'init'}"
    if given.switch("cancel"):
        return _cancel(run, at)
    with run.doing(f"reading {_words(run).noun} status"):
        if given.switch("status"):
            return _print_status(run, run.client.request("GET", at).data)
        with run.client.unwrapped():
            status = run.client.request("GET", at).data
    return _give_share(run, base, status)


def _start(run: Invocation, base: str, target: str) -> int:
    body = share_request(run.given)
    body |= {"backup": run.given.switch("backup"), "require_verification": run.given.switch("verify")}
    with run.doing(f"initializing {_words(run).noun}"):
        status = run.client.write(f"{base}/init", body).data
        # Some servers answer 204 to the start.
        status = status or run.client.request("GET", f"{base}/init").data
    if not body.get("pgp_keys") and not body.get("custodian_keys"):
        run.warn(
            "WARNING! Without -pgp-keys or -custodian-keys the new shares are printed in clear to whoever gives\n"
            "the last of the old ones.\n"
        )
    if target == "barrier" and not body["require_verification"]:
        run.warn("WARNING! Without -verify the new shares are in force before anybody has tried them.\n")
    return _print_status(run, status)


def _cancel(run: Invocation, at: str) -> int:
    with run.doing(f"canceling {_words(run).noun}"):
        run.client.delete(at)
    verifying = run.given.switch("verify")
    run.say(f"Success! Canceled {'verification' if verifying else _words(run).doing} (if it was started)")
    return 0


def _give_share(run: Invocation, base: str, status: Data) -> int:
    verifying = run.given.switch("verify")
    if not status.get("started"):
        noun = _words(run).noun
        raise Failure(f'No {noun} is in progress. Start a {noun} by running "broker {run.name} -init".', 1)
    nonce = nonce_of(run, status)
    share = read_share(run, "New Unseal Key" if verifying else "Unseal Key")
    at = f"{base}/{'verify' if verifying else 'update'}"
    with run.doing("posting unseal key"):
        answer = run.client.write(at, {"key": share.reveal(), "nonce": nonce}).data
    if not answer.get("complete"):
        if "started" not in answer:
            answer = run.client.request("GET", f"{base}/{'verify' if verifying else 'init'}").data
        return _print_status(run, answer)
    if run.format != "table":
        print_structure(run, answer)
    elif verifying:
        print(
            "Success! Rekey verification complete: the new shares are in force, the old ones open nothing now."
        )
    else:
        print("\n".join(_finished(answer, run.name)))
    return 0


def _finished(answer: Data, name: str) -> list[str]:
    lines = share_lines(answer, "Key")
    lines += [f"Operation nonce: {answer.get('nonce', '')}", ""]
    if answer.get("verification_required"):
        lines += [
            f"Verification nonce: {answer.get('verification_nonce', '')}",
            "",
            "The new shares are NOT in force yet. Give them back one by one with",
            f'"broker {name} -verify"; until then the old shares open the server.',
        ]
    else:
        lines.append("The new shares are in force; the old ones open nothing now. Distribute them securely.")
    return lines


def _print_status(run: Invocation, status: Data) -> int:
    if run.format != "table":
        print_structure(run, status)
        return 0
    rows: list[tuple[str, Any]] = [
        ("Nonce", status.get("nonce") or ""),
        ("Started", bool(status.get("started"))),
    ]
    if status.get("started"):
        rows += progress_rows(
            status, _words(run).progress, int(status.get("required", status.get("t", 0)) or 0)
        )
        rows += [
            ("New Shares", status.get("n")),
            ("New Threshold", status.get("t")),
        ]
        if "verification_required" in status:
            rows.append(("Verification Required", bool(status["verification_required"])))
        if status.get("verification_nonce"):
            rows.append(("Verification Nonce", status["verification_nonce"]))
        if status.get("pgp_fingerprints"):
            rows += [("PGP Fingerprints", status["pgp_fingerprints"]), ("Backup", bool(status.get("backup")))]
    print_pairs(rows)
    return 0


def _backup(run: Invocation, target: str) -> int:
    base = _base(run, target)
    at = BACKUPS.get(base, f"{base}/backup")
    if run.given.switch("backup-delete"):
        with run.doing(f"deleting {_words(run).noun} backup keys"):
            run.client.delete(at)
        run.say("Success! Deleted backed-up keys (if they existed)")
        return 0
    with run.doing(f"retrieving {_words(run).noun} backed up keys"):
        reply = run.client.request("GET", at)
    if run.format != "table":
        print_structure(run, reply.data)
        return 0
    rows = [("Nonce", reply.data.get("nonce") or "")]
    rows += sorted((reply.data.get("keys") or {}).items())
    print_pairs(rows)
    return 0


REKEY = Command(
    rekey,
    "operator rekey [options] [- | @FILE]",
    "Make new unseal key shares, with a quorum of the old ones. The server stays unsealed meanwhile.\n\n"
    "    broker operator rekey -init -verify -key-shares=5 -key-threshold=3\n"
    "    broker operator rekey             give an old share; asked for without echo\n"
    "    broker operator rekey -verify     give a new share back, until they are in force",
    (
        *SHARE_FLAGS,
        Flag("backup", "Keep a copy of the new shares, encrypted by PGP, in the server.", "switch"),
        Flag("backup-delete", "Delete that copy.", "switch"),
        Flag("backup-retrieve", "Print that copy.", "switch"),
        Flag("cancel", "Stop, and forget the shares given.", "switch"),
        Flag("init", "Start.", "switch"),
        Flag("nonce", "The attempt the share is for; needed where nobody can be asked."),
        Flag("status", "Only show the attempt.", "switch"),
        Flag("target", '"barrier" (default), or "recovery" for the recovery shares of an auto-unseal seal.'),
        Flag("verify", "With -init: require verification. Else: it is about the verification.", "switch"),
    ),
    (0, 1),
    shows="answer",
)
ROTATE_KEYS = replace(
    REKEY,
    usage=REKEY.usage.replace("rekey", "rotate-keys"),
    summary=REKEY.summary.replace("operator rekey", "operator rotate-keys"),
)
