"""Moving to another seal, in every direction, as OpenBao does it; the peer's command line brings the shares too."""

from __future__ import annotations

import pytest

from tests.peer.cli import run
from tests.peer.movable import Movable, stanza
from tests.peer.script import GET, POST, PUT, Differs

SHARES = Differs("shares-are-mnemonics", ignore=("keys", "keys_base64", "keys_mnemonic"))
AT_ONCE = Differs("migration-is-over-at-once", ignore=("migration",))
NOT_NOW = Differs("no-5xx-for-bad-input", status=400)
OPENS = Differs("migrated-opens-by-itself", ignore=("sealed", "cluster_id", "cluster_name"))
# The peer's raft may be active by then or not yet.
NOT_COMPARED = ("Seal Migration in Progress", "HA", "Active", "Raft")
KEYS = {"k0": "keys.0", "k1": "keys.1", "k2": "keys.2", "b2": "keys_base64.2", "root": "root_token"}


@pytest.fixture
def both(tmp_path, word):
    made = Movable(tmp_path, word)
    yield made
    made.stop()


def give(key, **options):
    return PUT("sys/unseal", {"key": f"${{{key}}}", "migrate": True}, token=None, **options)


STATUS = GET("sys/seal-status", token=None)
KEPT = GET("${m}/app")


def test_from_shares_to_static_and_on_to_another_and_back(both):
    both.start().run(
        PUT("sys/init", {"secret_shares": 3, "secret_threshold": 2}, token=None, save=KEYS, differs=SHARES),
        PUT("sys/unseal", {"key": "${k0}", "migrate": True}, 500, token=None, differs=NOT_NOW),
        PUT("sys/unseal", {"key": "${k0}"}, token=None),
        PUT("sys/unseal", {"key": "${k1}"}, token=None),
    )
    both.settle()
    both.pair.run(
        POST("sys/mounts/${m}", {"type": "kv"}, 204),
        POST("${m}/app", {"v": 1}, 204),
    )

    both.start(seal={"static": stanza("a")}).run(
        STATUS,
        GET("sys/health", 503, token=None),
        PUT("sys/unseal", {"key": "${k0}"}, 500, token=None, differs=NOT_NOW),
        PUT("sys/unseal", {"migrate": True}, 400, token=None),
        PUT("sys/unseal", {"key": "zz", "migrate": True}, 400, token=None),
        give("k0"),
        GET("sys/seal-status", token=None, save={"nonce": "nonce"}),
        PUT("sys/unseal", {"reset": True, "nonce": "${nonce}"}, token=None),
        give("b2"),
        STATUS,
    )
    both.shells().run(run("status", code=2), run("status", "-format=json", code=2, ignore=("ha_enabled",)))
    both.pair.run(give("k1", differs=AT_ONCE))
    both.settle()
    both.pair.run(STATUS, KEPT)
    both.start(seal={"static": stanza("a")})
    both.settle(at="sys/seal-status", when={"sealed": False})
    both.pair.run(STATUS)
    both.refuses('cannot seal migrate from "static" to Shamir, no disabled seal in configuration')

    two = [{"static": stanza("b")}, {"static": stanza("a", disabled="true")}]
    both.start(seal=two).run(STATUS, give("k0"), give("k2", differs=AT_ONCE))
    both.settle()
    both.pair.run(STATUS, KEPT)
    both.start(seal=two).run(GET("sys/seal-status", token=None, differs=OPENS))

    away = {"static": stanza("b", disabled="true")}
    both.start(seal=away).run(STATUS, PUT("sys/unseal", {"key": "${k0}"}, 500, token=None, differs=NOT_NOW))
    both.shells().run(
        run("operator", "unseal", "-migrate", "${k0}"),
        run("status", code=2),
        run("operator", "unseal", "-migrate", "${k2}", ignore=NOT_COMPARED),
    )
    both.settle()
    both.pair.run(STATUS, KEPT)
    both.start().run(
        STATUS,
        PUT("sys/unseal", {"key": "${k1}"}, token=None),
        PUT("sys/unseal", {"key": "${k2}"}, token=None),
    )


@pytest.mark.parametrize(
    ("disabled", "text"), [({}, "neither is disabled"), ({"disabled": True}, "both are disabled")]
)
def test_of_two_stanzas_one_is_disabled(both, disabled, text):
    both.refuses(text, seal=[{"static": stanza("a", **disabled)}, {"static": stanza("b", **disabled)}])
