"""Sealed servers: init, unseal, seal, rekey, generate-root, over the API, from the first start on."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, POST, PUT, Compute, Differs, root_token_of

INIT = {"secret_shares": 3, "secret_threshold": 2}
KEYS = {
    "k0": "keys.0",
    "k1": "keys.1",
    "k2": "keys.2",
    "b0": "keys_base64.0",
    "b1": "keys_base64.1",
    "root": "root_token",
}
SHARES = Differs(
    "shares-are-mnemonics",
    ignore=("keys", "keys_base64", "keys_mnemonic", "data.keys", "data.keys_base64", "data.keys_mnemonic"),
)
SAYS = Differs("says-not-initialised", ignore=("errors",))
ROTATED = {"n0": "data.keys.0", "n1": "data.keys.1"}


def initialise(**init: object):
    return PUT("sys/init", {**INIT, **init}, token=None, save=KEYS, differs=SHARES)


UNSEAL = (
    PUT("sys/unseal", {"key": "${k0}"}, token=None),
    PUT("sys/unseal", {"key": "${k1}"}, token=None),
)


@pytest.fixture
def fresh(sealed_pair):
    return sealed_pair()


@pytest.fixture
def unsealed(fresh):
    fresh.run(initialise(), *UNSEAL)
    return fresh


def test_before_init_a_node_serves_almost_nothing(fresh):
    fresh.run(
        GET("sys/health", 501, token=None),
        GET("sys/health?uninitcode=200", 200, token=None),
        GET("sys/seal-status", token=None),
        GET("sys/init", token=None),
        GET("sys/leader", token=None, only="ha_enabled"),
        GET("sys/mounts", 503, token=None, differs=SAYS),
        GET("secret/data/x", 503, token="root", differs=SAYS),
        POST("auth/token/create", {}, 503, token="root", differs=SAYS),
        PUT("sys/unseal", {"key": "00"}, 400, token=None),
        PUT("sys/seal", 204, token=None),
        GET("sys/nothing", 503, token=None, differs=SAYS),
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"secret_shares": 0, "secret_threshold": 0},
        {"secret_shares": 3},
        {"secret_threshold": 3},
        {"secret_shares": 2, "secret_threshold": 3},
        {"secret_shares": 3, "secret_threshold": 1},
        {"secret_shares": -1, "secret_threshold": 1},
        {"secret_shares": 256, "secret_threshold": 2},
        {"secret_shares": "x", "secret_threshold": 2},
        {"secret_shares": 3, "secret_threshold": 2, "pgp_keys": ["a"]},
        {"secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["nonsense"]},
    ],
    ids=repr,
)
def test_init_refuses(sealed_once, body):
    sealed_once.run(PUT("sys/init", body, 400, token=None), GET("sys/init", token=None))


def test_init_and_unseal_with_progress(fresh):
    fresh.run(
        PUT("sys/init", b"{", 400, token=None),
        initialise(),
        GET("sys/init", token=None),
        PUT("sys/init", INIT, 400, token=None),
        GET("sys/health", 503, token=None),
        GET("sys/health?sealedcode=299", 299, token=None),
        GET("sys/seal-status", token=None),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
        GET("sys/seal-status", token=None),
        PUT(
            "sys/unseal",
            {"key": "${k0}"},
            token=None,
            differs=Differs("duplicate-share", status=400, body=False),
        ),
        GET("sys/seal-status", token=None, save={"nonce": "nonce"}),
        PUT("sys/unseal", {"reset": True, "nonce": "${nonce}"}, token=None),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
        PUT(
            "sys/unseal",
            {"reset": True},
            token=None,
            differs=Differs("reset-needs-the-nonce", status=400, body=False),
        ),
        GET("sys/seal-status", token=None, save={"nonce": "nonce"}, ignore=("progress", "nonce")),
        PUT("sys/unseal", {"reset": True, "nonce": "${nonce}"}, token=None),
        PUT("sys/unseal", {}, 400, token=None),
        PUT("sys/unseal", {"key": ""}, 400, token=None),
        PUT("sys/unseal", {"key": "not hex!"}, 400, token=None),
        POST("sys/unseal", {"key": "${b0}"}, token=None),
        POST("sys/unseal", {"key": "${k2}"}, token=None),
        GET("sys/health", token=None),
        GET("sys/seal-status", token=None),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
        GET("auth/token/lookup-self", ignore=("data.path", "data.issue_time", "data.renewable")),
    )


def test_one_share_needs_no_threshold_talk(fresh):
    fresh.run(
        PUT(
            "sys/init",
            {"secret_shares": 1, "secret_threshold": 1},
            token=None,
            save={"k": "keys_base64.0", "root": "root_token"},
            differs=SHARES,
        ),
        PUT("sys/unseal", {"key": "${k}"}, token=None),
        GET("sys/mounts", only=("data.sys/.type", "data.cubbyhole/.type", "data.secret/")),
    )


def test_seal_and_unseal_again(unsealed):
    unsealed.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/app", {"v": 1}, 204),
        PUT("sys/seal", 403, token=None),
        PUT("sys/seal", 204),
        GET("sys/health", 503, token=None),
        GET("${m}/app", 503),
        GET("sys/seal-status", token=None),
        PUT("sys/seal", 204),
        *UNSEAL,
        GET("${m}/app"),
    )


def test_a_new_root_key_by_its_shares(unsealed):
    unsealed.run(
        GET("sys/rotate/root/init"),
        POST("sys/rotate/root/init", {"secret_shares": 2, "secret_threshold": 3}, 400),
        POST(
            "sys/rotate/root/init", {"secret_shares": 2, "secret_threshold": 2}, save={"nonce": "data.nonce"}
        ),
        POST("sys/rotate/root/init", {"secret_shares": 2, "secret_threshold": 2}, 400),
        GET("sys/rotate/root/init"),
        POST("sys/rotate/root/update", {"key": "${k0}"}, 400),
        POST("sys/rotate/root/update", {"key": "${k0}", "nonce": "wrong"}, 400),
        POST("sys/rotate/root/update", {"key": "not hex!", "nonce": "${nonce}"}, 400),
        POST("sys/rotate/root/update", {"key": "${k0}", "nonce": "${nonce}"}),
        POST("sys/rotate/root/update", {"key": "${k1}", "nonce": "${nonce}"}, save=ROTATED, differs=SHARES),
        GET("sys/rotate/root/init"),
        PUT("sys/seal", 204),
        PUT("sys/unseal", {"key": "${n0}"}, token=None),
        PUT("sys/unseal", {"key": "${n1}"}, token=None),
        GET("sys/health", token=None),
    )


def test_a_rekey_can_be_cancelled(unsealed):
    unsealed.run(
        POST(
            "sys/rotate/root/init", {"secret_shares": 1, "secret_threshold": 1}, save={"nonce": "data.nonce"}
        ),
        POST("sys/rotate/root/update", {"key": "${k0}", "nonce": "${nonce}"}),
        DELETE("sys/rotate/root/init", 204),
        GET("sys/rotate/root/init"),
        POST("sys/rotate/root/update", {"key": "${k1}", "nonce": "${nonce}"}, 400),
        GET("sys/rotate/root/backup", 400),
        DELETE("sys/rotate/root/backup", 204),
    )


def test_a_rekey_with_verification(unsealed):
    unsealed.run(
        POST(
            "sys/rotate/root/init",
            {"secret_shares": 2, "secret_threshold": 2, "require_verification": True},
            save={"nonce": "data.nonce"},
        ),
        POST("sys/rotate/root/update", {"key": "${k0}", "nonce": "${nonce}"}),
        POST(
            "sys/rotate/root/update",
            {"key": "${k1}", "nonce": "${nonce}"},
            save={**ROTATED, "vnonce": "data.verification_nonce"},
            differs=SHARES,
        ),
        GET("sys/rotate/root/verify"),
        POST("sys/rotate/root/verify", {"key": "${n0}", "nonce": "${vnonce}"}),
        POST("sys/rotate/root/verify", {"key": "${n1}", "nonce": "${vnonce}"}),
        GET("sys/rotate/root/init"),
    )


OTP = Differs("token-length", ignore=("data.otp_length",))


def test_a_root_token_by_shares(unsealed):
    unsealed.run(
        GET("sys/generate-root-token/attempt", differs=OTP),
        POST(
            "sys/generate-root-token/attempt",
            {},
            save={"nonce": "data.nonce", "otp": "data.otp"},
            differs=OTP,
        ),
        POST("sys/generate-root-token/attempt", {}, 400),
        GET("sys/generate-root-token/attempt", differs=OTP),
        POST("sys/generate-root-token/update", {"key": "${k0}"}, 400),
        POST(
            "sys/generate-root-token/update",
            {"key": "${k0}", "nonce": "wrong"},
            500,
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
        POST("sys/generate-root-token/update", {"key": "${k0}", "nonce": "${nonce}"}, differs=OTP),
        POST(
            "sys/generate-root-token/update",
            {"key": "${k2}", "nonce": "${nonce}"},
            save={"encoded": "data.encoded_token"},
            differs=OTP,
        ),
        Compute("made", root_token_of),
        GET(
            "auth/token/lookup-self",
            token="${made}",
            ignore=("data.path", "data.issue_time", "data.renewable"),
        ),
        DELETE("sys/generate-root-token/attempt", 204),
    )


def test_generating_a_root_token_can_be_cancelled(unsealed):
    unsealed.run(
        POST("sys/generate-root-token/attempt", {"otp": "short"}, 400),
        POST("sys/generate-root-token/attempt", {"pgp_key": "nonsense"}, 400),
        POST("sys/generate-root-token/attempt", {}, save={"nonce": "data.nonce"}, differs=OTP),
        DELETE("sys/generate-root-token/attempt", 204),
        POST(
            "sys/generate-root-token/update",
            {"key": "${k0}", "nonce": "${nonce}"},
            500,
            differs=Differs("no-5xx-for-bad-input", status=400, body=False),
        ),
    )


@pytest.fixture
def unauthenticated(sealed_pair):
    """Servers that still offer the ceremonies without a token, as older clients expect."""
    both = sealed_pair(listener_options={"disable_unauthed_rekey_endpoints": False})
    both.run(initialise(), *UNSEAL)
    return both


def test_the_older_rekey_without_a_token(unauthenticated):
    unauthenticated.run(
        GET("sys/rekey/init", token=None),
        PUT(
            "sys/rekey/init", {"secret_shares": 1, "secret_threshold": 1}, token=None, save={"nonce": "nonce"}
        ),
        GET("sys/rekey/init", token=None),
        PUT("sys/rekey/update", {"key": "${k0}", "nonce": "wrong"}, 400, token=None),
        PUT("sys/rekey/update", {"key": "${k0}", "nonce": "${nonce}"}, token=None),
        PUT("sys/rekey/update", {"key": "${k1}", "nonce": "${nonce}"}, token=None, differs=SHARES),
        GET("sys/rekey/init", token=None),
        DELETE("sys/rekey/init", 204, token=None),
    )
