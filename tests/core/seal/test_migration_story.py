"""A server moves to another seal and back, black box: by our command line, by its ceremony, and by the peer's."""

import pytest

from tests.cli.conftest import Server
from tests.core.seal.conftest import wait_until

STATIC = {"current_key_id": "a", "current_key": "1f" * 32}


def test_a_server_moves_there_and_back(start, tmp_path):
    vault = start(folder=tmp_path)
    vault.init()
    vault.unseal(*vault.keys[:2])
    vault.ok("POST", "sys/mounts/kv", {"type": "kv"})
    vault.ok("POST", "kv/app", {"password": "kept"})
    keys, root = vault.keys, vault.root
    vault.server.kill()

    moving = start(folder=tmp_path, seal={"static": STATIC})
    moving.keys, moving.root = keys, root
    assert 'the storage is sealed by "shamir"' in moving.server.log_tail()
    shell = Server(moving.server.address, "", tmp_path)
    pending = shell.broker("operator", "unseal", "-", stdin=keys[0])
    assert "migrate option not provided and seal migration is pending" in pending.err
    taken = shell.broker("operator", "unseal", "-migrate", "-", stdin=keys[0])
    assert taken.code == 0, taken
    for told in (taken, shell.broker("status")):
        rows = dict(line.split("  ", 1) for line in told.out.splitlines())
        rows = {name: value.strip() for name, value in rows.items()}
        assert rows["Seal Type"] == "static" and rows["Recovery Seal Type"] == "shamir"
        assert rows["Unseal Progress"] == "1/2"
        assert rows["Seal Migration in Progress"] == "true"
    moving.kill_workers()
    assert moving.call("GET", "sys/seal-status").body["progress"] == 1
    with shell.terminal("operator", "ceremony") as room:
        room.expect("SEAL MIGRATION CEREMONY")
        room.expect("then type your share")
        room.type("\n")
        room.expect("Unseal Key")
        room.type(keys[2] + "\r")
        room.expect('Moved to the seal "static" and unsealed.')
        assert room.end() == 0
    assert keys[2] not in room.screen
    moving.restart()
    wait_until(lambda: not moving.sealed)
    assert moving.ok("GET", "kv/app")["data"] == {"password": "kept"}
    assert "Seal Migration" not in shell.broker("status").out
    moving.server.kill()

    with pytest.raises(AssertionError, match='cannot seal migrate from "static" to Shamir, no disabled seal'):
        start(folder=tmp_path)

    back = start(folder=tmp_path, seal={"static": {**STATIC, "disabled": "true"}})
    back.keys, back.root = keys, root
    shell = Server(back.server.address, "", tmp_path)
    assert shell.bao("operator", "unseal", "-migrate", keys[1]).code == 0
    assert "Seal Migration in Progress    true" in shell.bao("status").out
    done = shell.bao("operator", "unseal", "-migrate", keys[0])
    assert done.code == 0 and "Sealed          false" in done.out
    assert back.ok("GET", "kv/app")["data"] == {"password": "kept"}
    for key in keys:
        for vault in (moving, back):
            assert key not in vault.server.log_path.read_text()
