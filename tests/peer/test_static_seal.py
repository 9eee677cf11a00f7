"""A seal that opens by itself: what init, recovery shares and ceremonies answer, against a real ``seal "static"``."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, POST, PUT, Compute, Differs, root_token_of

SEAL = {"static": {"current_key_id": "one", "current_key": "1f" * 32}}
UNAUTHENTICATED = {
    "disable_unauthed_rekey_endpoints": False,
    "disable_unauthed_generate_root_endpoints": False,
}
KEYS = {f"k{n}": f"recovery_keys.{n}" for n in range(3)} | {
    "b0": "recovery_keys_base64.0",
    "root": "root_token",
}
SHARES = Differs(
    "shares-are-mnemonics",
    ignore=(
        "recovery_keys",
        "recovery_keys_base64",
        "recovery_keys_mnemonic",
        "keys",
        "keys_base64",
        "keys_mnemonic",
    ),
)
DATA_SHARES = Differs("shares-are-mnemonics", ignore=("data.keys", "data.keys_base64", "data.keys_mnemonic"))
OTP = Differs("token-length", ignore=("otp_length",))
INIT = PUT("sys/init", {"recovery_shares": 3, "recovery_threshold": 2}, token=None, save=KEYS, differs=SHARES)


@pytest.fixture
def fresh(sealed_pair):
    return sealed_pair(seal=SEAL, listener_options=UNAUTHENTICATED)


def test_what_recovery_shares_are_good_for(fresh):
    init_makes_recovery_shares_and_opens(fresh)
    they_make_a_root_token(fresh)
    they_open_what_was_sealed_by_hand(fresh)
    they_are_replaced(fresh)


def init_makes_recovery_shares_and_opens(fresh):
    fresh.run(
        GET("sys/seal-status", token=None),
        GET("sys/health", 501, token=None),
        PUT("sys/init", {"secret_shares": 3, "secret_threshold": 2}, 400, token=None),
        PUT("sys/init", {"recovery_shares": 3}, 400, token=None),
        PUT("sys/init", {"recovery_shares": 3, "recovery_threshold": 1}, 400, token=None),
        PUT("sys/init", {"recovery_shares": 2, "recovery_threshold": 3}, 400, token=None),
        GET("sys/init", token=None),
        INIT,
        PUT("sys/init", {"recovery_shares": 3, "recovery_threshold": 2}, 400, token=None),
        GET("sys/seal-status", token=None),
        GET("sys/health", token=None),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
    )


def test_init_needs_no_recovery_shares(fresh):
    fresh.run(
        PUT("sys/init", {}, token=None, save={"root": "root_token"}),
        GET("sys/seal-status", token=None),
        GET("sys/generate-root/attempt", token=None, differs=OTP),
        GET("sys/rotate/recovery/init"),
        POST("sys/rotate/recovery/init", {"secret_shares": 2, "secret_threshold": 3}, 400),
        POST("sys/rotate/recovery/init", {}, 400),
        POST(
            "sys/rotate/recovery/init",
            {"secret_shares": 2, "secret_threshold": 2, "require_verification": True},
            differs=DATA_SHARES,
        ),
        GET("sys/rotate/recovery/init"),
        GET("sys/rotate/recovery/verify"),
        DELETE("sys/rotate/recovery/init", 204),
        POST(
            "sys/rotate/recovery/init",
            {"secret_shares": 3, "secret_threshold": 2},
            save={"k0": "data.keys.0", "k1": "data.keys.1"},
            differs=DATA_SHARES,
        ),
        GET("sys/rotate/recovery/init"),
        GET("sys/seal-status", token=None),
        PUT("sys/seal", 204),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
        PUT("sys/unseal", {"key": "${k1}"}, token=None),
    )


def they_open_what_was_sealed_by_hand(fresh):
    fresh.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/app", {"v": 1}, 204),
        PUT("sys/seal", 204),
        GET("sys/seal-status", token=None),
        PUT("sys/unseal", {"key": "not hex!"}, 400, token=None),
        PUT("sys/unseal", {"key": "${b0}"}, token=None),
        GET("sys/seal-status", token=None, save={"nonce": "nonce"}),
        PUT("sys/unseal", {"reset": True, "nonce": "${nonce}"}, token=None),
        PUT("sys/unseal", {"key": "${k2}"}, token=None),
        PUT("sys/unseal", {"key": "${k1}"}, token=None),
        GET("sys/seal-status", token=None),
        GET("${m}/app"),
    )


def they_are_replaced(fresh):
    fresh.run(
        GET("sys/rekey-recovery-key/init", token=None),
        PUT(
            "sys/rekey-recovery-key/init",
            {"secret_shares": 2, "secret_threshold": 2},
            token=None,
            save={"nonce": "nonce"},
        ),
        GET("sys/rekey-recovery-key/init", token=None),
        PUT("sys/rekey-recovery-key/update", {"key": "${k0}", "nonce": "wrong"}, 400, token=None),
        PUT("sys/rekey-recovery-key/update", {"key": "${k0}", "nonce": "${nonce}"}, token=None),
        PUT(
            "sys/rekey-recovery-key/update",
            {"key": "${k1}", "nonce": "${nonce}"},
            token=None,
            save={"n0": "keys.0", "n1": "keys.1"},
            differs=SHARES,
        ),
        GET("sys/seal-status", token=None),
        GET("sys/rotate/recovery/init"),
        POST(
            "sys/rotate/recovery/init",
            {"secret_shares": 3, "secret_threshold": 2},
            save={"nonce": "data.nonce"},
        ),
        POST("sys/rotate/recovery/update", {"key": "${n0}", "nonce": "${nonce}"}),
        DELETE("sys/rotate/recovery/init", 204),
        PUT("sys/seal", 204),
        PUT("sys/unseal", {"key": "${n0}"}, token=None),
        PUT("sys/unseal", {"key": "${n1}"}, token=None),
    )


def they_make_a_root_token(fresh):
    fresh.run(
        PUT(
            "sys/generate-root/attempt",
            {},
            token=None,
            save={"nonce": "nonce", "otp": "otp"},
            differs=OTP,
        ),
        GET("sys/generate-root/attempt", token=None, differs=OTP),
        PUT("sys/generate-root/update", {"key": "${k2}", "nonce": "${nonce}"}, token=None, differs=OTP),
        PUT(
            "sys/generate-root/update",
            {"key": "${k1}", "nonce": "${nonce}"},
            token=None,
            save={"encoded": "encoded_token"},
            differs=OTP,
        ),
        Compute("made", root_token_of),
        GET(
            "auth/token/lookup-self",
            token="${made}",
            ignore=("data.path", "data.issue_time", "data.renewable"),
        ),
    )
