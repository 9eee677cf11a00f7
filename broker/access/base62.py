"""Random text for ids and tokens."""

import secrets

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FAIR = 256 - 256 % len(ALPHABET)
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))


def letters_of(data: bytes) -> str:
    """Write bytes as base62 text, a little shorter: one character for a byte, none for one past the last multiple of 62."""
    return data.translate(_LETTERS, _UNFAIR).decode("ascii")


def base62(length: int) -> str:
    """Return random base62 text from the kernel's generator, each character equally likely.

    Random bytes past the last multiple of 62 are dropped. A login makes two such texts, so they are made in one go.
    """
    found = ""
    while len(found) < length:
        found += letters_of(secrets.token_bytes(length + 8))
    return found[:length]
