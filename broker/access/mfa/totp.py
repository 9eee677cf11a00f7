"""One-time codes by the clock. Source: RFC 6238; the algorithm is the ``cryptography`` library's."""

import base64
import hmac
import io
import re
from urllib.parse import quote, urlencode

import segno
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from broker.access.mfa.records import TotpMethod, TotpSecret

ALGORITHMS: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


def code_at(secret: TotpSecret, step: int) -> bytes:
    """Return the code of a time step (Unix time divided by the period)."""
    algorithm = ALGORITHMS[secret.algorithm]()
    maker = TOTP(  # type: ignore[call-arg, unused-ignore]
        bytes.fromhex(secret.key),
        secret.digits,
        algorithm,  # type: ignore[arg-type]
        secret.period,
        enforce_key_length=False,
    )
    return maker.generate(step * secret.period)


def matching_step(secret: TotpSecret, code: str, now: float) -> int | None:
    """Return the time step that a code belongs to, among those in reach; ``None`` if it is no code, or none of these.

    Exactly ``digits`` ASCII digits count as a code. All steps in reach are compared, whichever matches.
    """
    if len(code) != secret.digits or not _DIGITS.fullmatch(code):
        return None
    here = int(now // secret.period)
    given, found = code.encode("ascii"), None
    for step in range(max(here - secret.skew, 0), here + secret.skew + 1):
        if hmac.compare_digest(code_at(secret, step), given):
            found = step
    return found


def key_uri(method: TotpMethod, secret: TotpSecret, account: str) -> str:
    """Return the ``otpauth://`` URI that authenticator apps read. It holds the key: show it once, to its owner."""
    key = base64.b32encode(bytes.fromhex(secret.key)).decode().rstrip("=")
    facts = {
        "algorithm": secret.algorithm,
        "digits": secret.digits,
        "issuer": method.issuer,
        "period": secret.period,
        "secret": key,
    }
    return f"otpauth://totp/{quote(method.issuer)}:{quote(account)}?{urlencode(facts, quote_via=quote)}"


def barcode(uri: str, pixels: int) -> str:
    """Return a URI as a QR code, a PNG in base64 of about ``pixels`` a side."""
    made = segno.make(uri, error="m")
    out = io.BytesIO()
    made.save(out, kind="png", scale=max(pixels // made.symbol_size()[0], 1))
    return base64.b64encode(out.getvalue()).decode()
