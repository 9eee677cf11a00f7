"""Init, unseal, rekey and generate-root, against a real server, beside the same by its own command line."""

import re

import pytest


def test_init_tells_by_exit_code_whether_it_happened(empty):
    for side in (empty.broker, empty.bao):
        before = side("operator", "init", "-status")
        assert (before.code, before.out + before.err) == (2, "Vault is not initialized\n")
    assert empty.broker("operator", "init", "-n=1", "-t=1").code == 0
    for side in (empty.broker, empty.bao):
        after = side("operator", "init", "-status")
        assert (after.code, after.out) == (0, "Vault is initialized\n")
        again = side("operator", "init", "-n=1", "-t=1")
        assert again.code == 2
        assert "Code: 400. Errors:\n\n* Vault is already initialized" in again.err


def test_init_prints_shares_that_the_other_command_line_unseals_with(empty):
    answer = empty.broker("operator", "init", "-key-shares=3", "-key-threshold=2")
    keys = re.findall(r"^Unseal Key \d: (\S+)$", answer.out, re.MULTILINE)
    assert len(keys) == 3
    assert re.search(r"^Initial Root Token: \S+$", answer.out, re.MULTILINE)
    assert empty.bao("operator", "unseal", keys[2]).code == 0
    assert empty.bao("operator", "unseal", keys[0]).code == 0
    assert empty.broker("status").code == 0


def test_status_exit_codes_are_0_unsealed_2_sealed_1_error(sealed):
    assert sealed.broker("status").code == sealed.bao("status").code == 2
    assert sealed.broker("status").out == sealed.bao("status").out
    for key in sealed.keys[:2]:
        assert sealed.broker("operator", "unseal", "-", stdin=key + "\n").code == 0
    assert sealed.broker("status").code == sealed.bao("status").code == 0
    nowhere = sealed.broker("status", "-address=http://127.0.0.1:1")
    assert nowhere.code == 1
    assert "no answer from http://127.0.0.1:1" in nowhere.err


def test_unseal_reads_a_file_shows_progress_and_resets(sealed):
    (sealed.home / "share").write_text(sealed.keys[0])
    step = sealed.broker("operator", "unseal", "@share", "-format=json")
    assert step.json["progress"] == 1
    assert re.search(r"^Unseal Progress +1/2$", sealed.broker("operator", "status").out, re.MULTILINE)
    reset = sealed.broker("operator", "unseal", "-reset", "-format=json")
    assert reset.json["progress"] == 0


def test_a_share_on_the_command_line_is_refused_and_not_sent(sealed):
    refused = sealed.broker("operator", "unseal", sealed.keys[0])
    assert refused.code == 1
    assert "other users of this machine can see it" in refused.err
    assert sealed.keys[0] not in refused.err
    assert sealed.broker("status", "-format=json").json["progress"] == 0


def test_unseal_without_a_terminal_says_how_to_go_on(sealed):
    ours, peers = sealed.broker("operator", "unseal"), sealed.bao("operator", "unseal")
    assert ours.code == peers.code == 1
    assert "'-'" in ours.err
    assert "@FILE" in ours.err


def test_a_mistyped_word_is_told_here_and_never_sent(sealed):
    words = "academic acid " * 16 + "acid"
    refused = sealed.broker("operator", "unseal", "-", stdin=words)
    assert refused.code == 1
    assert "checksum is wrong" in refused.err
    assert "acid" not in refused.err
    assert sealed.broker("status", "-format=json").json["progress"] == 0


def test_seal_rotate_and_key_status_read_as_the_peers(unsealed):
    ours, peers = unsealed.broker("operator", "key-status"), unsealed.bao("operator", "key-status")
    assert ours.code == peers.code == 0
    assert re.sub(r"\d+ *$", "N", ours.out, flags=re.M) == re.sub(r"\d+ *$", "N", peers.out, flags=re.M)
    rotated = unsealed.broker("operator", "rotate")
    assert "Success! Rotated key" in rotated.out
    assert re.search(r"^Key Term +2$", rotated.out, re.MULTILINE)
    assert unsealed.broker("operator", "seal").out == "Success! Vault is sealed.\n"
    refused = unsealed.broker("read", "secret/x")
    assert refused.code == unsealed.bao("read", "secret/x").code == 2
    assert refused.err == unsealed.bao("read", "secret/x").err


def test_generate_root_yields_a_working_token(unsealed):
    started = unsealed.broker("operator", "generate-root", "-init", "-format=json").json
    nonce, otp = started["nonce"], started["otp"]
    missing = unsealed.broker("operator", "generate-root", "-", stdin=unsealed.keys[0])
    assert missing.code == 1
    assert "Missing nonce value" in missing.err
    for key in unsealed.keys[1:]:
        step = unsealed.broker("operator", "generate-root", f"-nonce={nonce}", "-format=json", "-", stdin=key)
    assert step.json["complete"]
    decode = ["operator", "generate-root", f"-decode={step.json['encoded_token']}"]
    token = unsealed.broker(*decode, "-otp=-", stdin=otp).out.strip()
    assert token == unsealed.bao(*decode, f"-otp={otp}").out.strip()
    assert unsealed.broker("token", "lookup", BROKER_TOKEN=token).code == 0
    assert unsealed.broker("operator", "generate-root", "-status").out.splitlines()[1].split() == [
        "Started",
        "false",
    ]


def test_generate_root_can_be_cancelled_and_says_so_when_idle(unsealed):
    assert unsealed.broker("operator", "generate-root", "-init").code == 0
    ours = unsealed.broker("operator", "generate-root", "-cancel")
    assert ours.out == unsealed.bao("operator", "generate-root", "-cancel").out
    idle = unsealed.broker("operator", "generate-root", "-nonce=x", "-", stdin="00")
    assert idle.code == 1
    assert "No root generation is in progress" in idle.err
    otp = unsealed.broker("operator", "generate-root", "-generate-otp").out.strip()
    status = unsealed.broker("operator", "generate-root", "-status", "-format=json").json
    assert len(otp) == status["otp_length"]


def test_rekey_replaces_the_shares(unsealed):
    start = unsealed.broker("operator", "rekey", "-init", "-key-shares=2", "-key-threshold=2", "-format=json")
    assert start.code == 0, start.err
    assert "in clear" in start.err
    nonce = start.json["nonce"]
    for key in unsealed.keys[:2]:
        step = unsealed.broker("operator", "rekey", f"-nonce={nonce}", "-", "-format=json", stdin=key)
        assert step.code == 0, step.err
    fresh = step.json["keys_base64"]
    assert unsealed.broker("operator", "seal").code == 0
    for key in fresh:
        last = unsealed.broker("operator", "unseal", "-", "-format=json", stdin=key)
    assert not last.json["sealed"]


def test_rekey_status_cancel_and_wrong_target(unsealed):
    idle = unsealed.broker("operator", "rekey", "-status")
    assert idle.code == 0
    assert re.search(r"^Started +false$", idle.out, re.MULTILINE)
    assert unsealed.broker("operator", "rekey", "-init", "-n=3", "-t=2").code == 0
    running = unsealed.broker("operator", "rekey", "-status").out
    assert re.search(r"^Rekey Progress +0/2$", running, re.MULTILINE)
    assert re.search(r"^New Shares +3$", running, re.MULTILINE)
    assert "Success! Canceled rekeying" in unsealed.broker("operator", "rekey", "-cancel").out
    assert unsealed.broker("operator", "rekey", "-target=moon", "-status").code == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["-secret-groups=security"],
        ["-secret-groups=a:1/1,b:1/1"],
        ["-secret-groups=a:1/1", "-key-shares=3"],
        ["-pgp-keys=keybase:someone"],
        ["-pgp-keys=missing.asc"],
        ["-key-shares=many"],
    ],
)
def test_a_mistaken_init_is_a_usage_error_and_makes_no_keys(empty, flags):
    refused = empty.broker("operator", "init", *flags)
    assert refused.code == 1
    assert refused.err.strip()
    assert empty.broker("operator", "init", "-status").code == 2


def test_a_custodians_key_opens_what_was_encrypted_to_it_and_is_never_overwritten(dev):
    from broker.barrier.custodians import encrypt_for

    made = dev.broker("operator", "keygen", "alice.key")
    assert made.code == 0
    private = (dev.home / "alice.key").read_text().strip()
    assert (dev.home / "alice.key").stat().st_mode & 0o777 == 0o600
    assert private not in made.out + made.err
    assert dev.broker("operator", "keygen", "alice.key").code == 1
    assert (dev.home / "alice.key").read_text().strip() == private
    blob = encrypt_for(made.out.strip(), "academic acid").hex()
    opened = dev.broker("operator", "decrypt-share", "-key=alice.key", blob)
    assert opened.out == "academic acid\n"
    dev.broker("operator", "keygen", "bob.key")
    other = dev.broker("operator", "decrypt-share", "-key=bob.key", blob)
    assert other.code == 1
    assert "does not open with this private key" in other.err
