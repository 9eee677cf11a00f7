import multiprocessing
import os
import signal
import threading
import time

import pytest

from broker.server.nodepage import BLOB_LIMIT, NodePage
from tests.server.conftest import wait_until

fork = multiprocessing.get_context("fork")


@pytest.fixture
def page():
    return NodePage(lock_memory=False)


def in_child(work):
    """Run ``work`` in a forked process and wait for it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_a_node_starts_sealed(page):
    assert page.root_key() is None
    assert page.seal_generation() == 0


def test_unsealing_in_one_process_unseals_the_others(page):
    in_child(lambda: page.install_root_key(b"k" * 32))
    assert page.root_key() == b"k" * 32
    assert page.seal_generation() == 1


def test_sealing_wipes_the_key_and_every_ceremony_for_all(page):
    page.install_root_key(b"k" * 32)
    page.write_ceremony("unseal", b"some share")
    in_child(page.wipe)
    assert page.root_key() is None
    assert page.read_ceremony("unseal") is None
    assert b"kkkk" not in bytes(page._bytes)
    assert b"some share" not in bytes(page._bytes)
    assert page.seal_generation() == 2


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(page, size):
    with pytest.raises(ValueError, match="32 bytes"):
        page.install_root_key(b"k" * size)
    assert page.root_key() is None


def test_ceremonies_are_kept_apart_and_shared(page):
    in_child(lambda: page.write_ceremony("unseal", b"one"))
    page.write_ceremony("rekey", b"")
    page.write_ceremony("unseal", b"a longer one")
    page.write_ceremony("unseal", b"two")
    assert page.read_ceremony("unseal") == b"two"
    assert page.read_ceremony("rekey") == b""
    page.write_ceremony("unseal", None)
    assert page.read_ceremony("unseal") is None
    assert b"longer" not in bytes(page._bytes)


def test_a_ceremony_beyond_its_limit_is_refused_and_changes_nothing(page):
    page.write_ceremony("unseal", b"before")
    with pytest.raises(ValueError, match="limited"):
        page.write_ceremony("unseal", bytes(BLOB_LIMIT + 1))
    assert page.read_ceremony("unseal") == b"before"
    page.write_ceremony("unseal", b"x" * BLOB_LIMIT)
    assert page.read_ceremony("unseal") == b"x" * BLOB_LIMIT


def test_places_for_ceremonies_run_out_with_an_error_and_come_back(page):
    for number in range(24):
        page.write_ceremony(f"c{number}", b"x")
    with pytest.raises(ValueError, match="taken"):
        page.write_ceremony("one more", b"x")
    page.write_ceremony("c3", None)
    page.write_ceremony("one more", b"x")
    assert page.read_ceremony("one more") == b"x"


def test_announcements_of_several_processes_are_all_counted(page):
    def announce():
        for _ in range(300):
            page.announce("tenant-a")

    children = [fork.Process(target=announce) for _ in range(3)]
    for child in children:
        child.start()
    threads = [threading.Thread(target=announce) for _ in range(2)]
    for thread in threads:
        thread.start()
    for part in (*children, *threads):
        part.join()
    assert page.read("tenant-a") == 5 * 300
    assert page.read("tenant-b") == 0


def test_a_worker_death_is_announced_to_every_tenant(page):
    before = [page.read(tenant) for tenant in ("root", "a", "b")]
    page.bump_all()
    assert [page.read(tenant) for tenant in ("root", "a", "b")] == [count + 1 for count in before]


def test_the_lock_excludes_processes_and_is_reentrant(page):
    def increment():
        for _ in range(100):
            with page.locked(), page.locked():
                value = int(page.read_ceremony("n") or b"0")
                page.write_ceremony("n", str(value + 1).encode())

    children = [fork.Process(target=increment) for _ in range(3)]
    for child in children:
        child.start()
    increment()
    for child in children:
        child.join()
    assert page.read_ceremony("n") == b"400"


def test_the_lock_of_a_killed_process_is_free(page):
    holder = os.fork()
    if holder == 0:
        with page.locked():
            page.write_ceremony("held", b"yes")
            time.sleep(60)
        os._exit(0)
    wait_until(
        lambda: page._bytes[page_blob(page) + 4] == 4
    )  # its name is there; do not take the lock to see
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    with page.locked():
        assert page.read_ceremony("held") == b"yes"


def page_blob(page):
    from broker.server import nodepage

    return nodepage._BLOBS_AT


def test_a_child_forked_under_the_lock_does_not_hold_it(page):
    with page.locked():
        child = os.fork()
        if child == 0:
            page.announce("root")  # another lock: not held up by the parent's
            os._exit(0 if page.read("root") == 1 else 1)
        _pid, status = os.waitpid(child, 0)
    assert status == 0


def test_shared_counters_add_up_and_know_their_limits(page):
    in_child(lambda: page.add(3, 5))
    assert page.add(3, -2) == 3
    assert page.total(3) == 3
    with pytest.raises(IndexError):
        page.add(64)


def test_the_page_is_left_out_of_core_dumps(page):
    page._map[0]  # make sure that the mapping is the object under test
    with open("/proc/self/smaps") as smaps:
        text = smaps.read()
    flags = [block for block in text.split("VmFlags:")[1:] if " dd" in block.splitlines()[0]]
    assert flags


def test_nothing_of_the_page_shows_in_its_repr(page):
    page.install_root_key(b"topsecret" + bytes(23))
    assert "topsecret" not in repr(page)
