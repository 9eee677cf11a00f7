"""What a stop leaves behind."""

import json

from broker.audit.verify import verify_file


def test_a_graceful_stop_signs_every_audit_chain_to_its_last_line(start, tmp_path):
    log = tmp_path / "audit.log"
    vault = start(workers=2, audit=[{"file": {"file": {"options": {"file_path": str(log)}}}}])
    vault.init()
    vault.unseal(*vault.keys[:2])
    for number in range(12):
        vault.ok("POST", f"cubbyhole/{number}", {"v": number})
    (device,) = vault.ok("GET", "sys/audit")["data"]
    key = bytes.fromhex(vault.ok("GET", f"sys/audit/{device}")["data"]["public_key"])
    vault.server.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    last = {line["chain"]["writer"]: line["type"] for line in lines}
    assert set(last.values()) == {"checkpoint"}
    report = verify_file(log, key)
    assert report.intact and report.complete and not report.open_ends


def test_what_was_answered_before_a_stop_is_there_after_the_start(start):
    vault = start(workers=2)
    vault.init()
    vault.unseal(*vault.keys[:2])
    vault.ok("POST", "sys/mounts/kv", {"type": "kv"})
    vault.ok("POST", "kv/app", {"v": 1})
    assert vault.server.stop() == 0
    vault.server.start()
    assert vault.sealed
    vault.unseal(*vault.keys[1:])
    assert vault.ok("GET", "kv/app")["data"] == {"v": 1}
