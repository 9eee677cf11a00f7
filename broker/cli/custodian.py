"""``broker operator keygen|decrypt-share``: what a custodian does alone, without a server."""

import base64
import binascii
import os
from pathlib import Path

from broker.cli.argvsecret import ask_secret
from broker.cli.data import read_input
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Invocation
from broker.plugin.secret import Secret


def keygen(run: Invocation) -> int:
    """Make a key pair: the private key into a new file of mode 0600, the public key onto stdout."""
    from broker.barrier.custodians import keygen as generate

    private, public = generate()
    path = Path(run.rest[0])
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists; a private key is never overwritten") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(private.reveal() + "\n")
    run.warn(f"Private key written to {path}. Keep it to yourself. The public key to hand in:")
    print(public)
    return 0


def decrypt_share(run: Invocation) -> int:
    """Open a share that was encrypted to a custodian and print it."""
    from broker.barrier.custodians import decrypt

    path = run.given.text("key")
    private = Secret(read_input(path).strip()) if path else ask_secret(run, "Private key")
    word = run.rest[0]
    text = read_input(word.removeprefix("@")) if word == "-" or word.startswith("@") else word
    print(decrypt(private, _decoded("".join(text.split()))).reveal())
    return 0


def _decoded(text: str) -> bytes:
    # Hex first, as everywhere: base64 would accept most hex too.
    try:
        return binascii.unhexlify(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise UsageError("the encrypted share must be hex or base64") from None


KEYGEN = Command(
    keygen,
    "operator keygen PRIVATE_KEY_FILE",
    "Make a custodian's key pair. The private key goes into a new file that only you can read,\n"
    "the public key to stdout, for -custodian-keys.",
    (),
    (1, 1),
    connects=False,
    shows="text",
)
DECRYPT_SHARE = Command(
    decrypt_share,
    "operator decrypt-share [options] SHARE | @FILE | -",
    "Open a share that was encrypted to you. The encrypted share is no secret; it may stand on the command line.",
    (Flag("key", "File with your private key; asked for without echo if left out."),),
    (1, 1),
    connects=False,
    shows="text",
)
