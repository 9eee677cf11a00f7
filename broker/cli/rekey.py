"""``broker operator rekey``: new shares for old, by a quorum of the old ones."""

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


def rekey(run: Invocation) -> int:
    """Start, continue, verify, cancel or show a rekey, as the flags say."""
    given = run.given
    target = (given.text("target") or "barrier").strip().lower()
    if target not in BASES:
        raise UsageError(f"Unknown target: {target}; use -target=barrier or -target=recovery")
    if given.switch("backup-retrieve") or given.switch("backup-delete"):
        return _backup(run, target)
    with run.doing("reading rekey status"):
        base = supported(run.client, BASES[target], "init")
    if given.switch("init"):
        return _start(run, base, target)
    at = f"{base}/{'verify' if given.switch('verify') else 'init'}"
    if given.switch("cancel"):
        return _cancel(run, at)
    with run.doing("reading rekey status"):
        status = run.client.request("GET", at).data
    if given.switch("status"):
        return _print_status(run, status)
    return _give_share(run, base, status)


def _start(run: Invocation, base: str, target: str) -> int:
    body = share_request(run.given)
    body |= {"backup": run.given.switch("backup"), "require_verification": run.given.switch("verify")}
    with run.doing("initializing rekey"):
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
    with run.doing("canceling rekey"):
        run.client.delete(at)
    verifying = run.given.switch("verify")
    run.say(f"Success! Canceled {'verification' if verifying else 'rekeying'} (if it was started)")
    return 0


def _give_share(run: Invocation, base: str, status: Data) -> int:
    verifying = run.given.switch("verify")
    if not status.get("started"):
        raise Failure('No rekey is in progress. Start a rekey by running "broker operator rekey -init".', 1)
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
        print("\n".join(_finished(answer)))
    return 0


def _finished(answer: Data) -> list[str]:
    lines = share_lines(answer, "Key")
    lines += [f"Operation nonce: {answer.get('nonce', '')}", ""]
    if answer.get("verification_required"):
        lines += [
            f"Verification nonce: {answer.get('verification_nonce', '')}",
            "",
            "The new shares are NOT in force yet. Give them back one by one with",
            '"broker operator rekey -verify"; until then the old shares open the server.',
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
        rows += progress_rows(status, "Rekey Progress", int(status.get("required", status.get("t", 0)) or 0))
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
    old = {"barrier": "sys/rekey/backup", "recovery": "sys/rekey/recovery-key-backup"}[target]
    at = (
        old
        if supported(run.client, BASES[target], "init") == BASES[target][0]
        else f"{BASES[target][1]}/backup"
    )
    if run.given.switch("backup-delete"):
        with run.doing("deleting rekey backup keys"):
            run.client.delete(at)
        run.say("Success! Deleted backed-up keys (if they existed)")
        return 0
    with run.doing("retrieving rekey backed up keys"):
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
