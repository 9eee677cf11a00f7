"""The life of worker processes: killed, stopped, reloaded."""

import json
import os
import signal
import socket
import threading
import time

import pytest

from tests.server.conftest import ask, wait_until


def test_a_killed_worker_is_replaced_and_the_replacement_is_unsealed(plain):
    server = plain(workers=2)
    server.ask("/install", "POST", b"k" * 32)
    before = server.workers()
    counter = server.ask()["counter"]
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(server.workers() - {victim}) == 2)
    fresh = (server.workers() - before).pop()
    answer = wait_until(lambda: next((a for a in [server.ask()] if a["pid"] == fresh), None))
    assert answer["root_key"] == (b"k" * 32).hex()
    assert answer["counter"] == counter + 1, "a death is announced to every cache"
    held = [server.open() for _ in range(8)]  # shared out evenly while they last
    assert {ask(connection)["index"] for connection in held} == {0, 1}, (
        "the replacement takes the free number"
    )


def test_no_request_of_the_other_worker_fails_while_one_is_killed(plain):
    server = plain(workers=2)
    held = [server.open() for _ in range(8)]
    owners = {number: ask(connection)["pid"] for number, connection in enumerate(held)}
    victim = owners[0]
    survivors = [held[number] for number, owner in owners.items() if owner != victim]
    assert survivors, "connections are spread over the workers"
    os.kill(victim, signal.SIGKILL)
    for _ in range(50):
        for connection in survivors:
            assert ask(connection)["pid"] != victim
        assert server.ask()["pid"] != victim, "new connections find a living worker"
    for connection in held:
        connection.close()


def test_connections_are_spread_evenly(plain):
    server = plain(workers=2)
    held = [server.open() for _ in range(40)]
    counts = {}
    for connection in held:
        index = ask(connection)["index"]
        counts[index] = counts.get(index, 0) + 1
    assert min(counts.get(index, 0) for index in (0, 1)) >= 15
    for connection in held:
        connection.close()


def test_a_graceful_stop_lets_requests_finish_and_idle_connections_go(plain):
    server = plain(workers=2)
    idle = [server.open() for _ in range(5)]
    for connection in idle:
        ask(connection)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(server.ask("/slow?s=0.6")))
    slow.start()
    wait_until(lambda: "a slow request has begun\n" in server.log())
    assert server.stop() == 0
    slow.join()
    assert [answer["path"] for answer in answers] == ["/slow"]
    assert "Traceback" not in server.log()
    with pytest.raises(ConnectionRefusedError):
        server.connect()


@pytest.mark.parametrize("milliseconds", range(0, 500, 50))
def test_a_stop_is_heard_however_early_it_comes(start, milliseconds):
    server = start('workers = 2\nlistener "tcp" { address = "127.0.0.1:0" tls_disable = true }', ready=False)
    wait_until(lambda: "configuration:" in server.log())
    time.sleep(milliseconds / 1000)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(15) == 0, "well before workers would be killed for not listening"


def test_the_last_answer_of_a_stopping_server_says_so(plain):
    server = plain()
    connection = server.open()
    connection.request("GET", "/slow?s=0.5")
    wait_until(lambda: "a slow request has begun\n" in server.log())
    server.process.send_signal(signal.SIGTERM)
    response = connection.getresponse()
    assert response.headers["connection"] == "close"
    assert json.loads(response.read())["path"] == "/slow"
    assert server.stop() == 0


def test_no_worker_outlives_a_killed_arbiter(plain):
    server = plain(workers=2)
    workers = server.workers()
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in workers))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_hangup_reopens_files_and_keeps_workers_and_connections(plain):
    server = plain(workers=1)
    connection = server.open()
    first = ask(connection)
    server.process.send_signal(signal.SIGHUP)
    after = wait_until(lambda: next((a for a in [ask(connection)] if len(a["reloads"]) == 2), None))
    assert after["reloads"] == ["sync", "async"]
    assert after["pid"] == first["pid"]
    connection.close()


def test_a_hangup_moves_on_to_a_new_log_file(start, tmp_path):
    log = tmp_path / "server.log"
    server = start(
        f'workers = 1\nlog_file = "{log}"\nlistener "tcp" {{ address = "127.0.0.1:0" tls_disable = true }}',
        ready=False,
    )
    wait_until(lambda: log.exists() and "ready" in log.read_text())
    assert log.stat().st_mode & 0o077 == 0
    log.rename(tmp_path / "rotated.log")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and "worker 0 reloaded" in log.read_text())
    assert log.stat().st_mode & 0o077 == 0


def test_hangups_in_a_row_never_kill_a_worker_that_is_just_starting(plain):
    server = plain(workers=2)
    for killed in range(1, 4):
        victim = min(server.workers())
        os.kill(victim, signal.SIGKILL)
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        wait_until(lambda gone=victim: gone not in server.workers() and len(server.workers()) == 2)
        wait_until(lambda count=killed: server.log().count("was sent SIGKILL") >= count)
    assert server.log().count("was sent SIGKILL") == 3
    assert "SIGHUP!" not in server.log()
    assert "SIGUSR1!" not in server.log()
    assert server.ask()["pid"] in server.workers()


def test_processes_do_not_dump_core_or_lend_their_memory(plain):
    server = plain(workers=1)
    answer = server.ask()
    assert answer["dumpable"] == 0
    assert answer["core_limit"] == [0, 0]
    assert answer["umask"] == 0o077
    with open(f"/proc/{server.process.pid}/limits") as limits:
        core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_memory_is_locked_unless_told_otherwise(start):
    listener = 'listener "tcp" { address = "127.0.0.1:0" tls_disable = true }'
    locked, free = start(f"workers = 1\n{listener}", lock=True), start(f"workers = 1\n{listener}")
    for server, wanted in ((locked, True), (free, False)):
        for pid in {server.process.pid, *server.workers()}:
            with open(f"/proc/{pid}/status") as status:
                kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmLck:"))
            assert (kilobytes >= 512) == wanted, "at least the node page"


def test_a_server_whose_application_cannot_start_ends_with_the_reason(start):
    text = (
        'workers = 1\ncluster_name = "refused"\nlistener "tcp" { address = "127.0.0.1:0" tls_disable = true }'
    )
    server = start(text, ready=False)
    assert server.process.wait(20) != 0
    server.reader.join(20)
    assert "cannot start: the probe refuses this cluster name" in server.log()
    assert "Traceback" not in server.log()


def test_a_server_that_has_served_keeps_trying_to_replace_its_worker(plain):
    server = plain(top='cluster_name = "dies later"')
    os.kill(server.ask()["pid"], signal.SIGKILL)
    wait_until(lambda: server.log().count("cannot start: only the first time works") >= 2)
    assert server.process.poll() is None


def test_a_failing_application_is_a_plain_500_and_the_worker_lives(plain):
    server = plain()
    connection = server.connect()
    connection.sendall(b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"as asked" not in answer
    assert server.ask()["path"] == "/"
    connection.close()


def test_a_unix_socket_is_served_with_its_mode(start, tmp_path):
    path = tmp_path / "broker.sock"
    server = start(
        f'workers = 1\nlistener "unix" {{ address = "{path}" socket_mode = "660" }}\n'
        'listener "tcp" { address = "127.0.0.1:0" tls_disable = true }'
    )
    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /over/unix HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (found["path"], found["client"]) == ("/over/unix", None)
    assert server.stop() == 0
    assert not path.exists()


def test_a_unix_socket_is_private_unless_told_otherwise(start, tmp_path):
    path = tmp_path / "broker.sock"
    start(f'workers = 1\nlistener "unix" {{ address = "{path}" }}')
    assert path.stat().st_mode & 0o077 == 0


def test_a_unix_socket_is_taken_over_from_the_dead_but_not_from_the_living(start, tmp_path):
    path = tmp_path / "broker.sock"
    text = f'workers = 1\nlistener "unix" {{ address = "{path}" }}'
    first = start(text)
    second = start(text, ready=False)
    assert second.process.wait(20) == 1
    first.process.kill()
    first.process.wait()
    wait_until(lambda: connects(path) is False)
    start(text)
    assert connects(path)
    path.with_name("file").write_text("precious")
    third = start(f'workers = 1\nlistener "unix" {{ address = "{path.with_name("file")}" }}', ready=False)
    assert third.process.wait(20) == 1
    assert path.with_name("file").read_text() == "precious"


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_an_address_in_use_is_one_line(plain, start):
    port = plain().port
    second = start(
        f'workers = 1\nlistener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}', ready=False
    )
    assert second.process.wait(20) == 1
    wait_until(lambda: second.log())
    assert second.log().strip() == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"
