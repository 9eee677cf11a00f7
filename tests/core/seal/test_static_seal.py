"""The static seal black box: servers that open by themselves, and the recovery shares that authorise the rest."""

import base64
from pathlib import Path

import pytest

from tests.core.seal.conftest import wait_until

KEY = "1f" * 32
RECOVERY = {"recovery_shares": 3, "recovery_threshold": 2}


def opened(vault):
    """Wait until the server has opened by itself."""
    wait_until(lambda: not vault.sealed)
    return vault


@pytest.fixture(scope="module")
def static(start, tmp_path_factory):
    """An initialised server whose key lies in a file, and its folder."""
    folder = tmp_path_factory.mktemp("static")
    key = folder / "seal.key"
    key.write_bytes(bytes.fromhex(KEY))
    key.chmod(0o640)
    seal = {"static": {"current_key_id": "a", "current_key": f"file://{key}"}}
    made = start(folder=folder, seal=seal, log_level="trace")
    assert made.call("GET", "sys/seal-status").body["recovery_seal"] is True
    answer = made.call("PUT", "sys/init", RECOVERY).body
    made.keys, made.root = answer["recovery_keys"], answer["root_token"]
    assert answer["keys"] == answer["keys_base64"] == []
    return made


def test_it_is_open_after_init_and_after_every_restart(static):
    static.ok("POST", "sys/mounts/kept", {"type": "kv"})
    static.ok("POST", "kept/app", {"password": "kept"})
    static.restart()
    opened(static)
    assert static.ok("GET", "kept/app")["data"] == {"password": "kept"}
    status = static.call("GET", "sys/seal-status").body
    told = {
        name: status[name] for name in ("type", "recovery_seal", "recovery_seal_type", "t", "n", "migration")
    }
    assert told == {
        "type": "static",
        "recovery_seal": True,
        "recovery_seal_type": "shamir",
        "t": 2,
        "n": 3,
        "migration": False,
    }


def test_recovery_shares_make_a_root_token_and_new_recovery_shares(static):
    started = static.ok("PUT", "sys/generate-root/attempt", {})
    for key in static.keys[:2]:
        done = static.ok("PUT", "sys/generate-root/update", {"key": key, "nonce": started["nonce"]})
    encoded = base64.b64decode(done["encoded_token"] + "==")
    token = bytes(a ^ b for a, b in zip(encoded, started["otp"].encode(), strict=True)).decode()
    assert static.call("GET", "auth/token/lookup-self", token=token).data["policies"] == ["root"]
    static.keys = static.rekey(static.keys[1:], base="sys/rekey-recovery-key")["keys"]
    started = static.ok("PUT", "sys/generate-root/attempt", {})
    for words in static.keys[:2]:
        done = static.ok("PUT", "sys/generate-root/update", {"key": words, "nonce": started["nonce"]})
    assert done["complete"]


def test_sealed_by_hand_it_takes_recovery_shares(static):
    static.ok("PUT", "sys/seal")
    static.kill_workers()
    assert static.sealed, "a worker that was replaced opened what a person had sealed"
    assert static.unseal(*static.keys[1:]).body["sealed"] is False
    static.ok("GET", "sys/mounts")


def test_the_key_stands_in_no_log_answer_file_or_process_argument(static):
    told = str(static.ok("GET", "sys/config/state/sanitized"))
    argv = b" ".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in static.workers())
    places = [static.server.log_path, *(static.server.folder / "data").glob("**/*")]
    found = [told.encode(), argv, *(place.read_bytes() for place in places if place.is_file())]
    assert b"Seal: static" in found[2], "the log is there"
    for content in found:
        assert KEY.encode() not in content.lower()
        assert bytes.fromhex(KEY) not in content
        assert base64.b64encode(bytes.fromhex(KEY)) not in content
