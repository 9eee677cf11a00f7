"""Security identifiers of Active Directory. Source: MS-DTYP, section 2.4.2."""


def sid_text(raw: bytes) -> str:
    """Return a binary identifier as text. Raises: ValueError.

    >>> sid_text(bytes.fromhex("01020000000000052000000020020000"))
    'S-1-5-32-544'
    """
    if len(raw) < 8 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError("not a security identifier")
    parts = [raw[at : at + 4] for at in range(8, len(raw), 4)]
    return "-".join(
        [
            "S",
            str(raw[0]),
            str(int.from_bytes(raw[2:8], "big")),
            *(str(int.from_bytes(p, "little")) for p in parts),
        ]
    )
