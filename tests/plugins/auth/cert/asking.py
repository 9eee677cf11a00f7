"""A role over one authority, and what a refusal looks like."""

import pytest

from broker.plugin import InvalidRequest

from .authority import authority

ROOT = authority("Machines")
STRANGER = "invalid certificate or no client certificate supplied"
NO_MATCH = "no chain matching all constraints"


async def role(kit, name="role", certificate=ROOT, **more):
    await kit.update(f"certs/{name}", certificate=certificate.pem, **more)


async def refused(kit, holder, text=STRANGER, name=""):
    with pytest.raises(InvalidRequest, match=text):
        await kit.log_in(holder, name)
