"""``sys/rekey`` and ``sys/rotate/root``: new shares for old, in one commit at the very end."""

import base64
import time

import pytest
from nacl.public import PrivateKey, SealedBox

from tests.core.seal.conftest import TWO_OF_THREE, send_and_forget


@pytest.fixture(scope="module")
def room(start):
    """An unsealed server of three workers. Tests keep ``keys`` at the shares in force: two of three."""
    made = start(workers=3)
    made.init()
    made.unseal(*made.keys[:2])
    made.ok("POST", "sys/mounts/kv", {"type": "kv"})
    made.ok("POST", "kv/app", {"v": "kept"})
    return made


def opens(vault, keys):
    """Whether these shares open the sealed server: all of them, or not one is taken."""
    replies = [vault.call("PUT", "sys/unseal", {"key": key}) for key in keys]
    if {reply.status for reply in replies} == {200}:
        return replies[-1].body["sealed"] is False
    assert {reply.status for reply in replies} == {400}
    assert all("another ceremony" in reply.error for reply in replies)
    return False


@pytest.mark.parametrize("base", ["sys/rekey", "sys/rotate/root"])
def test_new_shares_open_and_old_ones_no_longer_do(room, base):
    old = room.keys
    answer = room.rekey(old[1:], base=base, secret_shares=4, secret_threshold=3)
    assert answer["complete"] and len(answer["keys"]) == 4
    assert room.ok("GET", "kv/app")["data"] == {"v": "kept"}, "a rekey interrupted the service"
    room.ok("PUT", "sys/seal")
    assert not opens(room, old[:2])
    assert opens(room, answer["keys"][1:])
    assert room.ok("GET", "kv/app")["data"] == {"v": "kept"}
    room.keys = room.rekey(answer["keys"][:3], base=base)["keys"]


def test_a_rekey_begun_at_one_door_is_finished_at_the_other(room):
    nonce = room.ok("PUT", "sys/rekey/init", TWO_OF_THREE)["nonce"]
    assert room.ok("GET", "sys/rotate/root/init")["data"]["nonce"] == nonce
    assert room.call("POST", "sys/rotate/root/init", TWO_OF_THREE, room.root).status == 400
    room.ok("PUT", "sys/rekey/update", {"key": room.keys[0], "nonce": nonce})
    done = room.ok("POST", "sys/rotate/root/update", {"key": room.keys[1], "nonce": nonce})["data"]
    assert done["complete"]
    room.keys = done["keys"]


def test_without_verification_new_shares_are_worth_nothing(room):
    pending = room.rekey(room.keys[:2], require_verification=True)
    assert pending["verification_required"] and len(pending["keys"]) == 3
    room.ok("PUT", "sys/rekey/verify", {"key": pending["keys"][0], "nonce": pending["verification_nonce"]})
    room.ok("PUT", "sys/seal")
    assert not opens(room, pending["keys"][:2])
    assert opens(room, room.keys[:2])
    # Sealing ended the ceremony.
    assert room.ok("GET", "sys/rekey/init")["started"] is False


def test_with_verification_new_shares_come_into_force_at_its_last_step(room):
    pending = room.rekey(room.keys[:2], require_verification=True)
    nonce = pending["verification_nonce"]
    old = room.call("PUT", "sys/rekey/verify", {"key": room.keys[0], "nonce": nonce}, room.root)
    assert old.status == 400 and "another ceremony" in old.error
    room.ok("PUT", "sys/rekey/verify", {"key": pending["keys"][2], "nonce": nonce})
    restarted = room.ok("DELETE", "sys/rekey/verify")
    assert restarted["progress"] == 0 and restarted["nonce"] != nonce
    for key in pending["keys"][:2]:
        done = room.ok("PUT", "sys/rekey/verify", {"key": key, "nonce": restarted["nonce"]})
    assert done["complete"]
    room.ok("PUT", "sys/seal")
    assert not opens(room, room.keys[:2])
    room.keys = pending["keys"]
    assert opens(room, room.keys[:2])


def test_cancelled_at_the_last_share_nothing_has_changed(room):
    nonce = room.ok("PUT", "sys/rekey/init", TWO_OF_THREE)["nonce"]
    room.ok("PUT", "sys/rekey/update", {"key": room.keys[0], "nonce": nonce})
    other = room.call("DELETE", "sys/rekey/init?nonce=wrong", token=room.root)
    assert other.status == 400 and room.ok("GET", "sys/rekey/init")["progress"] == 1
    room.ok("DELETE", "sys/rekey/init")
    late = room.call("PUT", "sys/rekey/update", {"key": room.keys[1], "nonce": nonce}, room.root)
    assert (late.status, late.error) == (400, "no barrier rekey in progress")
    room.ok("PUT", "sys/seal")
    assert opens(room, room.keys[:2])


def test_only_sudo_may_touch_the_ceremony(room):
    rules = 'path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }'
    room.ok("PUT", "sys/policies/acl/nosudo", {"policy": rules})
    token = room.ok("POST", "auth/token/create", {"policies": ["nosudo"]})["auth"]["client_token"]
    for base in ("sys/rekey", "sys/rotate/root", "sys/rotate/recovery", "sys/rekey-recovery-key"):
        for given in (None, token):
            assert room.call("GET", f"{base}/init", token=given).status == 403
            assert room.call("PUT", f"{base}/init", TWO_OF_THREE, given).status == 403
            assert room.call("DELETE", f"{base}/init", token=given).status == 403
            assert room.call("PUT", f"{base}/update", {"key": room.keys[0]}, given).status == 403
    for path in ("sys/rekey/backup", "sys/rotate", "sys/rotate/root", "sys/seal"):
        verb = "GET" if path.endswith("backup") else "POST"
        assert room.call(verb, path, token=token).status == 403


def test_a_recovery_key_is_not_rekeyed_where_there_is_none(room):
    for base, text in (
        ("sys/rekey-recovery-key", "recovery rekeying not supported"),
        ("sys/rotate/recovery", "recovery keys not supported"),
    ):
        reply = room.call("PUT", f"{base}/init", TWO_OF_THREE, room.root)
        assert (reply.status, reply.error) == (400, text)


def test_what_the_custodians_keys_encrypt_is_kept_as_a_backup_until_it_is_deleted(room, pgp_key, pgp_decrypt):
    answer = room.rekey(
        room.keys[:2], secret_shares=2, secret_threshold=2, pgp_keys=[pgp_key, pgp_key], backup=True
    )
    backup = room.ok("GET", "sys/rekey/backup")
    (fingerprint,) = set(answer["pgp_fingerprints"])
    assert backup["keys"][fingerprint] == answer["keys"] == backup["data"]["keys"][fingerprint]
    assert room.ok("GET", "sys/rotate/root/backup")["nonce"] == answer["nonce"]
    keys = [pgp_decrypt(bytes.fromhex(key)) for key in answer["keys"]]
    room.ok("DELETE", "sys/rekey/backup")
    assert room.call("GET", "sys/rekey/backup", token=room.root).error == "no backed-up keys found"
    room.ok("PUT", "sys/seal")
    assert opens(room, keys)
    room.keys = room.rekey(keys)["keys"]


def test_shares_for_custodians_travel_in_sealed_boxes(room):
    private = [PrivateKey.generate() for _ in range(3)]
    public = [base64.b64encode(bytes(key.public_key)).decode() for key in private]
    answer = room.rekey(room.keys[:2], custodian_keys=public)
    assert "keys_mnemonic" not in answer
    keys = [
        SealedBox(key).decrypt(base64.b64decode(sealed)).decode()
        for key, sealed in zip(private, answer["keys_base64"], strict=True)
    ]
    room.keys = room.rekey(keys[1:])["keys"]


def test_shares_arrive_at_workers_that_come_and_go(room):
    nonce = room.ok("PUT", "sys/rekey/init", TWO_OF_THREE)["nonce"]
    room.ok("PUT", "sys/rekey/update", {"key": room.keys[0], "nonce": nonce})
    room.kill_workers()
    assert room.ok("GET", "sys/rekey/init")["progress"] == 1
    room.keys = room.ok("PUT", "sys/rekey/update", {"key": room.keys[2], "nonce": nonce})["keys"]
    room.ok("PUT", "sys/seal")
    assert opens(room, room.keys[:2])


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3, 5, 8, 30])
def test_killed_in_the_last_step_exactly_one_set_of_shares_opens(room, milliseconds):
    """With verification both sets are known before the commit, so whichever survives can be tried."""
    pending = room.rekey(room.keys[:2], require_verification=True)
    nonce = pending["verification_nonce"]
    room.ok("PUT", "sys/rekey/verify", {"key": pending["keys"][0], "nonce": nonce})
    line = send_and_forget(room, "sys/rekey/verify", {"key": pending["keys"][1], "nonce": nonce})
    time.sleep(milliseconds / 1000)
    room.restart()
    line.close()
    with_new, with_old = opens(room, pending["keys"][:2]), False
    if not with_new:
        with_old = opens(room, room.keys[:2])
    assert with_new or with_old, "neither set of shares opens"
    if with_new:
        room.ok("PUT", "sys/seal")
        assert not opens(room, room.keys[:2]), "both sets of shares open"
        room.keys = pending["keys"]
        assert opens(room, room.keys[:2])
    assert room.ok("GET", "kv/app")["data"] == {"v": "kept"}


def test_older_clients_may_be_let_in_without_a_token(start):
    vault = start(listener_options={"disable_unauthed_rekey_endpoints": False})
    vault.init()
    vault.unseal(*vault.keys[:2])
    started = vault.call("PUT", "sys/rekey/init", TWO_OF_THREE)
    assert started.status == 200
    for key in vault.keys[:2]:
        done = vault.call("PUT", "sys/rekey/update", {"key": key, "nonce": started.body["nonce"]})
    assert done.body["complete"]
    assert vault.call("DELETE", "sys/rekey/init").status == 204
    # Neither the newer names, nor the backup, nor the other ceremonies are opened with it.
    for path in ("sys/rotate/root/init", "sys/rekey/backup", "sys/generate-root/attempt"):
        assert vault.call("GET", path).status == 403
    assert vault.call("GET", "sys/rekey/init", namespace="team/").status in (400, 404)
