"""A new root token on the word of enough custodians: ``sys/generate-root/*``.

The token travels back encoded: XORed with a one-time password that only the one who started holds, or as an
OpenPGP message.
"""

import base64
import binascii
import string
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.barrier import custodians
from broker.barrier.authority import Authority, check_nonce, collect, groups_answer, new_nonce
from broker.barrier.keyring import Random
from broker.barrier.progress import Progress
from broker.barrier.records import BarrierRecords
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

TOKEN_LENGTH: Final = 28
"""``hvs.`` and 24 base62 characters; a one-time password is as long as the token it hides."""

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


class GenerateRoot(msgspec.Struct, frozen=True):
    """One attempt. Either ``otp`` or ``pgp_key`` is set; both are secret or long, so ``repr`` shows neither."""

    v: int
    nonce: str
    otp: str
    pgp_key: str
    progress: Progress

    def __repr__(self) -> str:
        return f"<generate-root attempt {self.nonce}>"

    @classmethod
    def start(cls, otp: str = "", pgp_key: str = "", *, random: Random) -> "tuple[GenerateRoot, str]":
        """Begin: ``PUT sys/generate-root/attempt``, answered with ``status(records, otp=...)``.

        Returns the state and the one-time password that was made because neither was given (else ``""``); it is
        told this once. Raises: InvalidRequest, in Vault's words.
        """
        if otp and len(otp.encode()) != TOKEN_LENGTH:
            raise InvalidRequest("OTP string has incorrect length")
        if pgp_key and not otp:
            _check(pgp_key)
        made = "" if otp or pgp_key else new_otp(random)
        nonce = new_nonce(random)
        return cls(1, nonce, otp or made, "" if otp else pgp_key, Progress(nonce)), made

    async def update(self, text: str, nonce: str, authority: Authority) -> "tuple[GenerateRoot, bool]":
        """Take one share: ``PUT sys/generate-root/update``.

        Returns the new state and whether the custodians have agreed. If so, make the root token, end the attempt
        and answer ``finished``; else keep the state and answer ``status(records, updating=True)``.
        Raises: ShareRejected, KeyRefused, InvalidRequest; then keep the state you had.
        """
        check_nonce(nonce, self.nonce, "this root generation operation")
        progress, key = collect(self.progress, text, authority.shares)
        if key is not None:
            await authority.prove(key)
        return replace(self, progress=progress), key is not None

    def finished(self, token: Secret[str], records: BarrierRecords) -> dict[str, object]:
        """Return the last answer, with the encoded token (``encoded_token`` and ``encoded_root_token``)."""
        encoded = self._encode(token.reveal())
        done = {"complete": True, "encoded_token": encoded, "encoded_root_token": encoded}
        return self.status(records, updating=True) | done

    def status(self, records: BarrierRecords, *, updating: bool = False, otp: str = "") -> dict[str, object]:
        """Return Vault's answer to ``GET sys/generate-root/attempt``.

        ``{"nonce", "started": true, "progress", "required", "complete": false, "encoded_token": "",
        "encoded_root_token": "", "pgp_fingerprint", "otp": "", "otp_length": 28}``. ``otp`` is told only by the
        answer to the start; ``otp_length`` is 0 in answers to update.
        """
        return {
            "nonce": self.nonce,
            "started": True,
            "progress": len(self.progress.given),
            "required": records.authority.required if records.authority else 0,
            "complete": False,
            "encoded_token": "",
            "encoded_root_token": "",
            "pgp_fingerprint": custodians.pgp_fingerprint(self.pgp_key) if self.pgp_key else "",
            "otp": otp,
            "otp_length": 0 if updating else TOKEN_LENGTH,
        } | groups_answer(records.authority, self.progress)

    def _encode(self, token: str) -> str:
        if self.pgp_key:
            return custodians.to_base64(custodians.pgp_encrypt(self.pgp_key, token))
        return encode_token(token, self.otp)


def idle_status(records: BarrierRecords) -> dict[str, object]:
    """Return the answer to ``GET sys/generate-root/attempt`` while none is running."""
    nothing = GenerateRoot(1, "", "", "", Progress(""))
    return nothing.status(records) | {"started": False}


def newer(answer: dict[str, object]) -> dict[str, object]:
    """Fit an answer to ``sys/generate-root-token/*``, the newer name of the same ceremony (told inside ``data``).

    Answers to attempt have no encoded token, answers to update no one-time password, and while none is running
    there is neither nonce nor fingerprint.
    """
    unwanted = {"encoded_root_token"}
    unwanted |= {"encoded_token"} if answer["otp_length"] else {"otp", "otp_length"}
    unwanted |= set() if answer["started"] else {"nonce", "pgp_fingerprint"}
    return {name: value for name, value in answer.items() if name not in unwanted}


def in_progress() -> InvalidRequest:
    """The error for a second start."""
    return InvalidRequest("root generation already in progress for this namespace")


def not_in_progress() -> InvalidRequest:
    """The error for a share that nobody asked for."""
    return InvalidRequest("no root generation in progress")


def new_otp(random: Random) -> str:
    """Return 28 base62 characters, each equally likely: random bytes past the last multiple of 62 are dropped."""
    found: list[str] = []
    while len(found) < TOKEN_LENGTH:
        found += [_BASE62[byte % 62] for byte in random(TOKEN_LENGTH) if byte < 248]
    return "".join(found[:TOKEN_LENGTH])


def encode_token(token: str, otp: str) -> str:
    """Return the base64 (unpadded) of token XOR one-time password, as Vault's CLI decodes it."""
    if len(token.encode()) != len(otp.encode()):
        raise ValueError("token and one-time password differ in length")
    mixed = bytes(a ^ b for a, b in zip(token.encode(), otp.encode(), strict=True))
    return base64.b64encode(mixed).decode().rstrip("=")


def decode_token(encoded: str, otp: str) -> Secret[str]:
    """Undo ``encode_token``. Raises: InvalidRequest if the two do not belong together."""
    try:
        mixed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        plain = bytes(a ^ b for a, b in zip(mixed, otp.encode(), strict=True))
        return Secret(plain.decode("ascii"))
    except (binascii.Error, ValueError):
        raise InvalidRequest("the encoded token and the one-time password do not belong together") from None


def _check(pgp_key: str) -> None:
    try:
        custodians.check_pgp_key(pgp_key)
    except InvalidRequest as error:
        raise InvalidRequest(f"error parsing PGP key: {error}") from None
