"""``sys/unseal``: genuine shares open, whatever else happens at the door; and what a sealed node still serves."""

import threading

import pytest

from broker.core.system.ceremony import MAX_REFUSALS
from broker.core.system.engine import SystemEngine
from tests.core.seal.conftest import TWO_OF_THREE, wait_until


@pytest.fixture(scope="module")
def sealed(start):
    """A sealed server of three workers, two of three shares open it; each test leaves it sealed."""
    made = start(workers=3)
    made.init()
    return made


def progress(vault):
    return vault.call("GET", "sys/seal-status").body["progress"]


def reset(vault):
    nonce = vault.call("GET", "sys/seal-status").body["nonce"]
    assert vault.call("PUT", "sys/unseal", {"reset": True, "nonce": nonce}).status == 200


def damaged(key):
    """The share with one bit of its value changed."""
    return key[:20] + ("1" if key[20] != "1" else "2") + key[21:]


def test_refused_shares_name_their_check_and_change_nothing(sealed, start):
    other = start(workers=1)
    other.init()
    sealed.unseal(sealed.keys[0])
    before = sealed.call("GET", "sys/seal-status").body
    refusals = {
        "": "'key' must be specified",
        "zz": "33 words",
        "00" * 42: "checksum|33 words",
        damaged(sealed.keys[1]): "checksum is wrong",
        other.keys[1]: "another ceremony",
        sealed.keys[0]: "already been provided",
    }
    for key, text in refusals.items():
        reply = sealed.call("PUT", "sys/unseal", {"key": key})
        assert reply.status == 400
        assert any(part in reply.error for part in text.split("|")), (key, reply)
        assert key == "" or key not in reply.error
    assert sealed.call("GET", "sys/seal-status").body == before
    assert sealed.unseal(sealed.keys[2]).body["sealed"] is False
    sealed.ok("PUT", "sys/seal")


def test_a_stranger_can_neither_reset_nor_flood_an_honest_attempt(sealed):
    sealed.unseal(sealed.keys[0])
    assert sealed.call("PUT", "sys/unseal", {"reset": True}).status == 400
    assert sealed.call("PUT", "sys/unseal", {"reset": True, "nonce": "x"}).status == 400
    bad, line = damaged(sealed.keys[1]), sealed.line()
    tries = range(MAX_REFUSALS + 10)
    statuses = [line.call("PUT", "sys/unseal", {"key": bad}).status for _ in tries]
    assert set(statuses) == {400, 429} and statuses[-1] == 429
    assert progress(sealed) == 1
    assert sealed.unseal(sealed.keys[1]).body["sealed"] is False, "a flood stopped the real custodian"
    assert sealed.call("PUT", "sys/unseal", {"reset": True}).error == "vault is unsealed"
    sealed.ok("PUT", "sys/seal")


def test_the_attempt_ends_by_its_nonce(sealed):
    sealed.unseal(sealed.keys[0])
    reset(sealed)
    assert progress(sealed) == 0


def test_a_large_body_is_refused(sealed):
    assert sealed.call("PUT", "sys/unseal", {"key": "a" * 1100}).status in (400, 413)
    assert sealed.call("PUT", "sys/unseal", {"key": "aa", "nonce": "x" * 1100}).status == 413


def test_progress_is_one_for_all_workers_and_survives_the_death_of_each(sealed):
    lines = [sealed.line() for _ in range(9)]
    assert lines[0].call("PUT", "sys/unseal", {"key": sealed.keys[0]}).body["progress"] == 1
    assert {line.call("GET", "sys/seal-status").body["progress"] for line in lines} == {1}
    sealed.kill_workers()
    assert progress(sealed) == 1
    assert sealed.unseal(sealed.keys[2]).body["sealed"] is False
    sealed.ok("PUT", "sys/seal")


def test_a_worker_that_dies_is_replaced_unsealed(vault):
    vault.kill_workers()
    assert not vault.sealed
    vault.ok("GET", "sys/mounts")


def test_after_a_restart_the_shares_open_what_was_stored(vault):
    vault.ok("POST", "sys/mounts/kv", {"type": "kv"})
    vault.ok("POST", "kv/app", {"password": "kept"})
    vault.restart()
    assert vault.sealed
    assert vault.unseal(*vault.keys[1:]).body["sealed"] is False
    assert vault.ok("GET", "kv/app")["data"] == {"password": "kept"}


SERVED_SEALED = {"health", "seal-status", "leader", "init", "unseal"}


def test_a_sealed_node_serves_only_what_opens_it_and_tells_of_it(sealed):
    """Walks the route table: a path that is added has to be refused while sealed."""
    verbs = {
        "read": "GET",
        "update": "POST",
        "create": "POST",
        "patch": "PATCH",
        "delete": "DELETE",
        "list": "LIST",
        "scan": "SCAN",
    }
    asked, line = 0, sealed.line()
    for row in SystemEngine.PATHS:
        for verb, operation in row.operations.items():
            if row.template in SERVED_SEALED:
                assert operation.sealed, row.template
                continue
            assert not operation.sealed, f"{row.template} is served while sealed"
            path = row.template.replace("{", "").replace(":path}", "").replace("}", "")
            reply = line.call(verbs[verb.value], f"sys/{path}", None, sealed.root)
            asked += 1
            if row.template == "seal":
                assert reply.status == 204, "sealed is what was asked for"
            else:
                assert (reply.status, reply.error) == (503, "Vault is sealed"), (verb, path, reply)
    assert asked > 30
    for path in ("secret/data/x", "auth/token/lookup-self", "cubbyhole/x", "nothing/at/all"):
        assert line.call("GET", path, None, sealed.root).status == 503


def test_sealing_reaches_every_worker_before_it_returns(start):
    vault = start(workers=4)
    vault.init()
    vault.unseal(*vault.keys[:2])
    vault.ok("POST", "sys/mounts/kv", {"type": "kv"})
    vault.ok("POST", "kv/app", {"password": "cached"})
    lines = [vault.line() for _ in range(24)]
    for line in lines:
        assert line.call("GET", "kv/app", None, vault.root).data == {"password": "cached"}
    stop, seen = threading.Event(), []
    sealed_at: list[float] = []

    def load(line):
        while not stop.is_set():
            began_sealed = bool(sealed_at)
            reply = line.call("GET", "kv/app", None, vault.root)
            seen.append((began_sealed, reply.status))

    threads = [threading.Thread(target=load, args=(line,)) for line in lines[:8]]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(seen) > 100)
    vault.ok("PUT", "sys/seal")
    sealed_at.append(1.0)
    for line in lines[8:]:
        reply = line.call("GET", "kv/app", None, vault.root)
        assert (reply.status, reply.error) == (503, "Vault is sealed")
    wait_until(lambda: sum(began for began, _ in seen) > 100)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for _, status in seen} == {200, 503}
    assert {status for began, status in seen if began} == {503}
    assert vault.unseal(*vault.keys[:2]).body["sealed"] is False
    assert vault.ok("GET", "kv/app")["data"] == {"password": "cached"}


@pytest.mark.parametrize("path", ["sys/health", "sys/init"])
def test_the_installation_is_not_asked_from_a_child_namespace(sealed, path):
    reply = sealed.call("GET", path, namespace="team/")
    assert (reply.status, reply.error) == (400, "operation unavailable in namespaces")


def test_health_speaks_through_its_status(sealed, start):
    fresh = start(workers=1)
    assert fresh.call("GET", "sys/health").status == 501
    assert fresh.call("HEAD", "sys/health?uninitcode=200").status == 200
    fresh.init(**TWO_OF_THREE)
    assert fresh.call("GET", "sys/health").status == 503
    assert fresh.call("GET", "sys/health?sealedcode=299&x=1").status == 299
    fresh.unseal(*fresh.keys[:2])
    assert fresh.call("GET", "sys/health").status == 200
    for bad in ("abc", "", "-1", "100", "1000", "2e2"):
        assert fresh.call("GET", f"sys/health?activecode={bad}").status in ((400,) if bad else (200, 400))
    line = fresh.line()
    assert line.call("GET", "sys/health?activecode=204").body is None
    assert line.call("GET", "sys/health").body["sealed"] is False, "a body followed a 204"
