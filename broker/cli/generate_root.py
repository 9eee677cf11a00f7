"""``broker operator generate-root``: a new root token, by a quorum of custodians.

The server returns it encoded with a one-time password (OTP) that only whoever started knows.
"""

import secrets
import string

from broker.cli.argvsecret import ask_secret, secret_argument
from broker.cli.attempt import nonce_of, supported
from broker.cli.data import Data
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure, print_table
from broker.cli.sealstatus import progress_rows
from broker.cli.shareflags import pgp_key
from broker.cli.shares import read_share
from broker.plugin.secret import Secret

BASES = ("sys/generate-root", "sys/generate-root-token")
ALPHABET = string.ascii_letters + string.digits


def generate_root(run: Invocation) -> int:
    """Start, continue, cancel, decode or show an attempt, as the flags say."""
    given = run.given
    if given.text("decode") is not None:
        return _decode(run)
    with run.doing("getting root generation status"):
        base = supported(run.client, BASES, "attempt")
        if given.switch("status"):
            return _print(run, run.client.request("GET", f"{base}/attempt").data)
        with run.client.unwrapped():
            status = run.client.request("GET", f"{base}/attempt").data
    if given.switch("generate-otp"):
        return _generate_otp(status)
    if given.switch("cancel"):
        with run.doing("canceling root token generation"):
            run.client.delete(f"{base}/attempt")
        run.say("Success! Root token generation canceled (if it was started)")
        return 0
    if given.switch("init"):
        return _start(run, base)
    return _give_share(run, base, status)


def _generate_otp(status: Data) -> int:
    length = int(status.get("otp_length") or 28)
    print("".join(secrets.choice(ALPHABET) for _ in range(length)))
    return 0


def _start(run: Invocation, base: str) -> int:
    given = run.given
    if given.text("otp") is not None and given.text("pgp-key") is not None:
        raise UsageError("Error initializing: cannot specify both -otp and -pgp-key")
    body: Data = {}
    if (otp := given.text("otp")) is not None:
        body["otp"] = secret_argument(run, otp, "OTP").reveal()
    if (path := given.text("pgp-key")) is not None:
        body["pgp_key"] = pgp_key(path)
    with run.doing("initializing root generation"):
        status = run.client.write(f"{base}/attempt", body).data
    if status.get("otp"):
        run.warn(
            "A One-Time-Password has been generated for you and is shown in the OTP field.\n"
            "You will need this value to decode the resulting root token, so keep it safe."
        )
    return _print(run, status)


def _give_share(run: Invocation, base: str, status: Data) -> int:
    if not status.get("started"):
        raise Failure(
            'No root generation is in progress. Start a root generation by running "broker\n'
            'operator generate-root -init".\n'
            "If starting root generation using the OTP method and generating your own OTP,\n"
            f"the length of the OTP string needs to be {status.get('otp_length')} characters in length.",
            1,
        )
    nonce = nonce_of(run, status)
    share = read_share(run)
    with run.doing("posting unseal key"):
        status = run.client.write(f"{base}/update", {"key": share.reveal(), "nonce": nonce}).data
    return _print(run, status)


def _decode(run: Invocation) -> int:
    """XOR the encoded token with the OTP, which is asked for if it was not given."""
    from broker.barrier.generate_root import decode_token

    otp = run.given.text("otp")
    secret = secret_argument(run, otp, "OTP") if otp is not None else ask_secret(run, "OTP")
    with run.doing("decoding root token"):
        token: Secret[str] = decode_token(run.given.text("decode") or "", secret.reveal())
    if run.format == "table":
        print(token.reveal())
    else:
        print_structure(run, {"token": token.reveal()})
    return 0


def _print(run: Invocation, status: Data) -> int:
    if run.format != "table":
        print_structure(run, status)
        return 0
    rows = [
        ("Nonce", status.get("nonce") or ""),
        ("Started", bool(status.get("started"))),
        *progress_rows(status, "Progress", int(status.get("required") or 0)),
        ("Complete", bool(status.get("complete"))),
    ]
    encoded = status.get("encoded_token") or status.get("encoded_root_token")
    optional = {"Encoded Token": encoded, "PGP Fingerprint": status.get("pgp_fingerprint")}
    optional |= {"OTP": status.get("otp"), "OTP Length": status.get("otp_length")}
    print_table(None, rows + [(title, value) for title, value in optional.items() if value])
    return 0


GENERATE_ROOT = Command(
    generate_root,
    "operator generate-root [options] [- | @FILE]",
    "Generate a new root token with a quorum of unseal key shares.\n\n"
    "    broker operator generate-root -init          start; prints the OTP\n"
    "    broker operator generate-root                give a share; asked for without echo\n"
    "    broker operator generate-root -decode=...    turn the encoded token into the root token",
    (
        Flag("cancel", "Stop the attempt and forget the shares given.", "switch"),
        Flag("decode", "Decode this encoded token; the OTP is asked for, or given with -otp."),
        Flag("generate-otp", "Print a usable OTP.", "switch"),
        Flag("init", "Start an attempt.", "switch"),
        Flag("nonce", "The attempt the share is for; needed where nobody can be asked."),
        Flag("otp", "OTP to encode the token with: '-' or '@FILE'. Made by the server if left out."),
        Flag("pgp-key", "File with an OpenPGP public key to encrypt the token to, instead of an OTP."),
        Flag("status", "Only show the attempt.", "switch"),
    ),
    (0, 1),
    shows="answer",
)
