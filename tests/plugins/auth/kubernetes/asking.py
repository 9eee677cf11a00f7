"""Making tokens by hand, and saying what a refusal looks like."""

import base64
import json

import pytest

from broker.plugin import PermissionDenied


async def refused(kit, token, text="permission denied", role="app"):
    with pytest.raises(PermissionDenied) as refusal:
        await kit.log_in(token, role)
    assert str(refusal.value) == text


def parts(header, payload, signature=b""):
    def encode(raw):
        data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return ".".join((encode(header), encode(payload), encode(signature)))


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
