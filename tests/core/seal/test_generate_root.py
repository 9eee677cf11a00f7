"""``sys/generate-root``: a root token on the word of enough custodians, seen by whoever began only."""

import base64
import threading

import pytest

OTP = "0123456789abcdefghijklmnopqr"


@pytest.fixture(scope="module")
def room(start):
    """An unsealed server of two workers, with an audit device."""
    made = start(workers=2)
    made.init(secret_shares=5, secret_threshold=2)
    made.unseal(*made.keys[:2])
    return made


def decoded(encoded, otp):
    raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    return bytes(a ^ b for a, b in zip(raw, otp.encode(), strict=True)).decode()


def finish(vault, base, attempt):
    for key in vault.keys[:2]:
        answer = vault.ok("PUT", f"{base}/update", {"key": key, "nonce": attempt["nonce"]})
    return answer.get("data") or answer


def is_root(vault, token):
    reply = vault.call("GET", "auth/token/lookup-self", token=token)
    return reply.status == 200 and reply.data["policies"] == ["root"]


@pytest.mark.parametrize("base", ["sys/generate-root", "sys/generate-root-token"])
def test_a_quorum_makes_a_root_token_under_a_one_time_password(room, base):
    answer = room.ok("PUT", f"{base}/attempt", {})
    attempt = answer.get("data") or answer
    shown = room.ok("GET", f"{base}/attempt")
    assert (shown.get("data") or shown)["otp"] == "", "the one-time password is told once"
    done = finish(room, base, attempt)
    token = decoded(done["encoded_token"], attempt["otp"])
    assert token.startswith("hvs.") and is_root(room, token)
    body = {"encoded_token": done["encoded_token"], "otp": attempt["otp"]}
    assert room.ok("POST", "sys/decode-token", body)["data"] == {"token": token}
    assert room.call("POST", "sys/decode-token", body).status == 403
    assert (room.ok("GET", "sys/generate-root/attempt"))["started"] is False


def test_the_one_time_password_may_be_the_callers_own(room):
    attempt = room.ok("PUT", "sys/generate-root/attempt", {"otp": OTP})
    assert attempt["otp"] == ""
    assert is_root(room, decoded(finish(room, "sys/generate-root", attempt)["encoded_token"], OTP))


def test_a_token_for_a_pgp_key_opens_with_it_alone(room, pgp_key, pgp_decrypt):
    attempt = room.ok("PUT", "sys/generate-root/attempt", {"pgp_key": pgp_key})
    assert len(attempt["pgp_fingerprint"]) == 40
    done = finish(room, "sys/generate-root", attempt)
    assert is_root(room, pgp_decrypt(base64.b64decode(done["encoded_token"])))


@pytest.mark.parametrize(
    "body", [{"otp": "short"}, {"otp": "a" * 27}, {"pgp_key": "nonsense"}, {"otp": 5.5}, {"nonsense": 1}]
)
def test_what_cannot_hide_a_token_is_refused_before_the_custodians_are_asked(room, body):
    assert room.call("PUT", "sys/generate-root/attempt", body, room.root).status == 400
    assert room.ok("GET", "sys/generate-root/attempt")["started"] is False


def test_one_attempt_at_a_time_and_a_cancelled_one_makes_nothing(room):
    attempt = room.ok("PUT", "sys/generate-root/attempt", {})
    assert room.call("PUT", "sys/generate-root/attempt", {}, room.root).status == 400
    room.ok("PUT", "sys/generate-root/update", {"key": room.keys[0], "nonce": attempt["nonce"]})
    wrong = room.call("PUT", "sys/generate-root/update", {"key": room.keys[1], "nonce": "x"}, room.root)
    assert wrong.status == 400 and "incorrect nonce" in wrong.error
    room.ok("DELETE", "sys/generate-root-token/attempt")
    late = room.call(
        "PUT", "sys/generate-root/update", {"key": room.keys[1], "nonce": attempt["nonce"]}, room.root
    )
    assert (late.status, late.error) == (400, "no root generation in progress")


def test_however_many_bring_the_last_share_one_token_is_made(room):
    accessors = lambda: set(room.ok("LIST", "auth/token/accessors")["data"]["keys"])  # noqa: E731 - used twice
    attempt = room.ok("PUT", "sys/generate-root/attempt", {})
    room.ok("PUT", "sys/generate-root/update", {"key": room.keys[0], "nonce": attempt["nonce"]})
    before, replies = accessors(), []

    def bring(key):
        body = {"key": key, "nonce": attempt["nonce"]}
        replies.append(room.call("PUT", "sys/generate-root/update", body, room.root))

    threads = [threading.Thread(target=bring, args=(key,)) for key in room.keys[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
    assert len(accessors() - before) == 1


def test_nobody_without_sudo_comes_near(room):
    room.ok(
        "PUT", "sys/policies/acl/nosudo", {"policy": 'path "sys/*" { capabilities = ["update", "read"] }'}
    )
    token = room.ok("POST", "auth/token/create", {"policies": ["nosudo"]})["auth"]["client_token"]
    for base in ("sys/generate-root", "sys/generate-root-token"):
        for given in (None, token):
            assert room.call("GET", f"{base}/attempt", token=given).status == 403
            assert room.call("PUT", f"{base}/attempt", {}, given).status == 403
            assert room.call("PUT", f"{base}/update", {"key": room.keys[0]}, given).status == 403


def test_older_clients_may_be_let_in_without_a_token(start):
    vault = start(listener_options={"disable_unauthed_generate_root_endpoints": False})
    vault.init()
    vault.unseal(*vault.keys[:2])
    attempt = vault.call("PUT", "sys/generate-root/attempt", {}).body
    for key in vault.keys[:2]:
        done = vault.call("PUT", "sys/generate-root/update", {"key": key, "nonce": attempt["nonce"]}).body
    assert is_root(vault, decoded(done["encoded_token"], attempt["otp"]))
    for path in ("sys/generate-root-token/attempt", "sys/rekey/init", "sys/rotate/root/init"):
        assert vault.call("GET", path).status == 403
