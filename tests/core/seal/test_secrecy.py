"""Shares, one-time passwords and root tokens are seen by their holders: not by logs, audit, disk or an idle worker."""

import asyncio
import base64

from broker.core.requests import Request
from broker.plugin.secret import Secret
from broker.plugin.verbs import Verb
from tests.core.seal.conftest import wait_until


def spellings(answer):
    """Every spelling of every share in an answer that hands some out."""
    return [*answer["keys"], *answer["keys_base64"], *answer["keys_mnemonic"]]


def test_no_ceremony_leaves_a_secret_in_audit_log_or_storage(start, tmp_path):
    audit = tmp_path / "audit.log"
    vault = start(
        folder=tmp_path,
        audit={"file": {"main": {"options": {"file_path": str(audit)}}}},
        log_level="trace",
    )
    first = vault.init()
    vault.unseal(*vault.keys[:2])
    second = vault.rekey(vault.keys[:2], base="sys/rotate/root", require_verification=True)
    nonce = second["verification_nonce"]
    for key in second["keys"][:2]:
        vault.ok("POST", "sys/rotate/root/verify", {"key": key, "nonce": nonce})
    attempt = vault.ok("PUT", "sys/generate-root/attempt", {})
    for words in second["keys_mnemonic"][:2]:
        done = vault.ok("PUT", "sys/generate-root/update", {"key": words, "nonce": attempt["nonce"]})
    encoded = done["encoded_token"]
    raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    token = bytes(a ^ b for a, b in zip(raw, attempt["otp"].encode(), strict=True)).decode()
    vault.call("PUT", "sys/rekey/update", {"key": first["keys"][0], "nonce": "x"}, token)
    secrets = [*spellings(first), *spellings(second), vault.root, token, attempt["otp"], encoded]
    written = audit.read_text()
    assert "sys/rotate/root/verify" in written and "sys/generate-root/update" in written
    for place in [audit, vault.server.log_path, *(tmp_path / "data").glob("**/*")]:
        content = place.read_bytes() if place.is_file() else b""
        found = [secret for secret in secrets if secret.encode() in content]
        assert not found, f"{place.name} holds a secret"


async def test_a_worker_that_nobody_asks_forgets_its_plaintext_too(workers_of):
    busy, idle = await workers_of(one_node=True)
    for worker in (busy, idle):
        request = Request("1", Verb.READ, "sys/mounts", token=Secret("root"))
        await worker.core.handle(request)
    runtime = idle.seal_state.current()
    assert runtime is not None
    cache = runtime.tenants.root.store.cache
    assert cache.entries
    await busy.core.handle(Request("2", Verb.UPDATE, "sys/seal", token=Secret("root")))
    await asyncio.to_thread(wait_until, lambda: not cache.entries)
