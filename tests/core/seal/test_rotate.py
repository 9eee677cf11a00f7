"""``sys/rotate``: new keys while the node serves, and old entries rewritten under them."""

import sqlite3
import threading
import time

import pytest

from broker.barrier.envelope import term_of
from broker.core.reencrypt import RAW
from tests.core.seal.conftest import send_and_forget, wait_until


@pytest.fixture(scope="module")
def room(start):
    made = start(workers=3)
    made.init()
    made.unseal(*made.keys[:2])
    made.ok("POST", "sys/mounts/kv", {"type": "kv"})
    made.ok("POST", "kv/app", {"v": 0})
    made.ok("POST", "sys/namespaces/team")
    made.ok("POST", "sys/mounts/kv", {"type": "kv"}, namespace="team")
    made.ok("POST", "kv/theirs", {"v": "team"}, namespace="team")
    return made


def term(vault):
    return vault.ok("GET", "sys/key-status")["term"]


def finished(vault, wanted):
    data = vault.ok("GET", "sys/rotate/progress")["data"]
    return data if data["finished"] and data["term"] == wanted else None


def stored_terms(vault):
    """The key term of every encrypted entry on disk, by tenant database and path."""
    found = {}
    for database in (vault.server.folder / "data").glob("**/*.db"):
        store = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            tables = [n for (n,) in store.execute("select name from sqlite_master where type = 'table'")]
            for table in tables:
                columns = {row[1] for row in store.execute(f"pragma table_info({table})")}
                if {"path", "value"} <= columns:
                    for path, value in store.execute(f"select path, value from {table}"):
                        name = path if isinstance(path, str) else bytes(path).decode()
                        if value is not None and name not in RAW:
                            found[(database.name, name)] = term_of(bytes(value), name)
        finally:
            store.close()
    return found


def test_a_rotation_interrupts_nobody_on_any_worker(room):
    room.ok("POST", "kv/app", {"v": 0})
    stop, statuses = threading.Event(), set()
    lines = [room.line() for _ in range(6)]

    def load(number, line):
        while not stop.is_set():
            statuses.add(line.call("POST", f"kv/app{number}", {"v": 1}, room.root).status)
            statuses.add(line.call("GET", f"kv/app{number}", None, room.root).status)
            statuses.add(line.call("GET", "kv/app", None, room.root).status)

    threads = [threading.Thread(target=load, args=one) for one in enumerate(lines)]
    for thread in threads:
        thread.start()
    before = term(room)
    for path in ("sys/rotate", "sys/rotate/keyring", "sys/rotate/root", "sys/rotate"):
        room.ok("POST", path)
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses <= {200, 204}
    assert term(room) == before + 3


def test_every_entry_of_every_namespace_is_rewritten_and_still_opens(room):
    for number in range(300):
        room.ok("POST", f"kv/bulk/{number:04d}", {"v": number})
    room.ok("POST", "sys/rotate")
    wanted = term(room)
    assert min(stored_terms(room).values()) < wanted
    done = wait_until(lambda: finished(room, wanted))
    assert (done["namespaces"], done["namespaces_finished"], done["unfinished"]) == (2, 2, [])
    assert done["entries_rewritten"] >= 300 and done["entries_refused"] == 0
    terms = stored_terms(room)
    assert len({database for database, _ in terms}) == 2
    assert set(terms.values()) == {wanted}
    room.restart()
    room.unseal(*room.keys[:2])
    assert room.ok("GET", "kv/theirs", namespace="team")["data"] == {"v": "team"}
    for number in (0, 150, 299):
        assert room.ok("GET", f"kv/bulk/{number:04d}")["data"] == {"v": number}


def test_what_is_written_while_entries_are_rewritten_is_not_undone(room):
    stop, last = threading.Event(), {}
    line = room.line()

    def write():
        count = 0
        while not stop.is_set():
            count += 1
            name = f"kv/bulk/{count % 300:04d}"
            assert line.call("POST", name, {"v": -count}, room.root).status == 204
            last[name] = -count

    writer = threading.Thread(target=write)
    writer.start()
    room.ok("POST", "sys/rotate")
    wanted = term(room)
    wait_until(lambda: finished(room, wanted))
    stop.set()
    writer.join()
    assert last
    for name, value in last.items():
        assert room.ok("GET", name)["data"] == {"v": value}


def test_killed_while_entries_are_rewritten_it_goes_on_after_the_restart(room):
    room.ok("POST", "sys/rotate")
    wanted = term(room)
    room.restart()
    room.unseal(*room.keys[:2])
    done = wait_until(lambda: finished(room, wanted))
    assert done["entries_refused"] == 0
    assert set(stored_terms(room).values()) == {wanted}
    assert room.ok("GET", "kv/theirs", namespace="team")["data"] == {"v": "team"}


def test_an_altered_entry_is_told_and_left_alone(start):
    vault = start()
    vault.init()
    vault.unseal(*vault.keys[:2])
    vault.ok("POST", "sys/mounts/kv", {"type": "kv"})
    vault.ok("POST", "kv/good", {"v": 1})
    vault.ok("POST", "kv/bad", {"v": 1})
    vault.server.kill()
    (database,) = (vault.server.folder / "data").glob("**/root*.db")
    store = sqlite3.connect(database)
    (table,) = {
        name
        for (name,) in store.execute("select name from sqlite_master where type = 'table'")
        if {"path", "value"} <= {row[1] for row in store.execute(f"pragma table_info({name})")}
    }
    ((path, value),) = [
        row for row in store.execute(f"select path, value from {table}") if str(row[0]).endswith("/bad")
    ]
    broken = bytearray(value)
    broken[-1] ^= 1
    store.execute(f"update {table} set value = ? where path = ?", (bytes(broken), path))
    store.commit()
    store.close()
    vault.server.start()
    vault.unseal(*vault.keys[:2])
    vault.ok("POST", "sys/rotate")
    done = wait_until(lambda: finished(vault, 2))
    assert done["entries_refused"] == 1
    assert vault.ok("GET", "kv/good")["data"] == {"v": 1}
    assert vault.call("GET", "kv/bad", token=vault.root).status == 500


def test_a_rotated_root_key_leaves_the_shares_as_they_are(room):
    room.ok("POST", "sys/rotate/root")
    room.ok("POST", "sys/rotate")
    room.kill_workers()
    assert room.ok("GET", "kv/theirs", namespace="team")["data"] == {"v": "team"}
    room.restart()
    assert room.unseal(*room.keys[1:]).body["sealed"] is False
    assert room.ok("GET", "kv/theirs", namespace="team")["data"] == {"v": "team"}


@pytest.mark.parametrize("milliseconds", [0, 2, 4])
@pytest.mark.parametrize("path", ["sys/rotate", "sys/rotate/root"])
def test_killed_in_a_rotation_the_shares_open_everything(room, path, milliseconds):
    line = send_and_forget(room, path, {})
    time.sleep(milliseconds / 1000)
    room.restart()
    line.close()
    assert room.unseal(*room.keys[:2]).body["sealed"] is False
    assert room.ok("GET", "kv/theirs", namespace="team")["data"] == {"v": "team"}
    room.ok("POST", "kv/after", {"v": milliseconds})


@pytest.mark.parametrize(
    "body",
    [
        {"max_operations": 999_999},
        {"max_operations": 3_865_470_567},
        {"interval": "1h"},
        {"interval": -1},
        {"interval": "soon"},
        {"enabled": "perhaps"},
    ],
    ids=repr,
)
def test_a_rotation_policy_that_is_none_is_refused(room, body):
    before = room.ok("GET", "sys/rotate/config")["data"]
    assert room.call("POST", "sys/rotate/config", body, room.root).status == 400
    assert room.ok("GET", "sys/rotate/keyring/config")["data"] == before


def test_the_rotation_policy_changes_field_by_field_and_is_kept(room):
    assert room.ok("GET", "sys/rotate/config")["data"]["interval"] == "2160h0m0s"
    room.ok("POST", "sys/rotate/config", {"interval": "48h"})
    room.ok("POST", "sys/rotate/keyring/config", {"max_operations": 2_000_000, "enabled": False})
    kept = {"enabled": False, "interval": "48h0m0s", "max_operations": 2_000_000}
    assert room.ok("GET", "sys/rotate/config")["data"] == kept
    room.ok("POST", "sys/rotate/config", {"interval": 0})
    assert room.ok("GET", "sys/rotate/config")["data"] == kept | {"interval": 0}


def test_a_child_namespace_has_no_keys_of_the_installation(room):
    for verb, path in (
        ("GET", "sys/key-status"),
        ("POST", "sys/rotate"),
        ("POST", "sys/rotate/root"),
        ("GET", "sys/rotate/progress"),
        ("GET", "sys/rekey/init"),
        ("GET", "sys/generate-root/attempt"),
        ("PUT", "sys/seal"),
    ):
        reply = room.call(verb, path, token=room.root, namespace="team")
        assert reply.status in (400, 404) and "unavailable in namespaces" in reply.error
