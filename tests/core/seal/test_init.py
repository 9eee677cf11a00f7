"""``sys/init``: who may, once, over nothing but emptiness; and what the custodians get."""

import base64
import sqlite3
import threading
from types import SimpleNamespace

import pytest
from nacl.public import PrivateKey, SealedBox

from broker.core.system.opening import Init, write_init
from broker.plugin.context import Connection
from broker.plugin.errors import InvalidRequest

COMPANY = [
    {"name": "security", "threshold": 3, "count": 5},
    {"name": "operations", "threshold": 2, "count": 3},
    {"name": "board", "threshold": 1, "count": 1},
]


def test_init_is_served_once_and_every_spelling_of_a_share_opens(start):
    vault = start()
    assert vault.call("GET", "sys/init").body == {"initialized": False}
    answer = vault.init(secret_shares=3, secret_threshold=3)
    assert [base64.b64decode(key).hex() for key in answer["keys_base64"]] == answer["keys"]
    assert all(len(words.split()) == 33 for words in answer["keys_mnemonic"])
    again = vault.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
    assert (again.status, again.error) == (400, "Vault is already initialized")
    status = vault.unseal(
        answer["keys"][0], answer["keys_base64"][1], answer["keys_mnemonic"][2].upper()
    ).body
    assert (status["sealed"], status["t"], status["n"]) == (False, 3, 3)
    assert vault.ok("GET", "auth/token/lookup-self")["data"]["policies"] == ["root"]


def test_of_concurrent_inits_one_wins(start):
    vault, replies = start(workers=3), []

    def one():
        replies.append(vault.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400, 400, 400]
    assert {r.error for r in replies if r.status == 400} == {"Vault is already initialized"}
    (winner,) = [reply.body for reply in replies if reply.status == 200]
    assert vault.unseal(winner["keys"][0]).body["sealed"] is False
    vault.root = winner["root_token"]
    vault.ok("GET", "sys/mounts")


def test_init_never_writes_over_foreign_data(start, tmp_path):
    owner = start(folder=tmp_path)
    owner.init()
    owner.server.kill()
    (database,) = (tmp_path / "data").glob("**/root*.db")
    with sqlite3.connect(database) as store:
        tables = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")]
        (entries,) = [
            t
            for t in tables
            if "path" in {c[1] for c in store.execute(f"pragma table_info({t})")}
            and "value" in {c[1] for c in store.execute(f"pragma table_info({t})")}
        ]
        store.execute(
            f"delete from {entries} where path in "
            "('core/seal-config', 'core/root-key', 'core/keyring', 'core/recovery-config')"
        )
        before = store.execute(f"select count(*) from {entries}").fetchone()
    store.close()
    assert before[0] > 0
    owner.server.start()
    assert owner.call("GET", "sys/init").body == {"initialized": False}
    refused = owner.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
    assert refused.status == 400 and "holds data but no seal" in refused.error
    owner.server.kill()
    with sqlite3.connect(database) as store:
        assert store.execute(f"select count(*) from {entries}").fetchone() == before
    store.close()


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"])
async def test_init_in_clear_text_is_refused_to_whoever_is_not_on_this_machine(peer):
    ctx = SimpleNamespace(
        namespace=SimpleNamespace(path=""), headers={}, connection=Connection(peer, 4711, "http")
    )
    with pytest.raises(InvalidRequest, match="over TLS"):
        await write_init(None, ctx, Init(secret_shares=1, secret_threshold=1))


@pytest.fixture(scope="module")
def company(start):
    vault = start()
    vault.answer = vault.init(secret_groups=COMPANY, group_threshold=2)
    return vault


def shares_of(vault, name):
    named = zip(vault.answer["keys_group"], vault.keys, strict=True)
    return [key for group, key in named if group == name]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("security", 3), ("operations", 2)),
        (("operations", 2), ("board", 1)),
        (("board", 1), ("security", 3)),
    ],
    ids=["security+operations", "operations+board", "board+security"],
)
def test_any_two_groups_open_and_no_number_of_shares_of_one_does(company, first, second):
    vault = company
    if not vault.sealed:
        vault.ok("PUT", "sys/seal")
    for key in shares_of(vault, first[0]):
        status = vault.unseal(key).body
        assert status["sealed"], "one group alone opened"
    rows = {row["name"]: row["progress"] for row in status["groups"]}
    assert rows == {name: first[1] if name == first[0] else 0 for name in ("security", "operations", "board")}
    given = shares_of(vault, second[0])[: second[1]]
    for key in given[:-1]:
        assert vault.unseal(key).body["sealed"]
    assert vault.unseal(given[-1]).body["sealed"] is False


def test_shares_and_root_token_encrypted_to_their_holders(start, pgp_key, pgp_decrypt):
    vault = start()
    answer = vault.init(
        secret_shares=2, secret_threshold=2, pgp_keys=[pgp_key, pgp_key], root_token_pgp_key=pgp_key
    )
    assert "keys_mnemonic" not in answer
    shares = [pgp_decrypt(bytes.fromhex(key)) for key in answer["keys"]]
    vault.root = pgp_decrypt(base64.b64decode(answer["root_token"]))
    assert vault.unseal(*shares).body["sealed"] is False
    vault.ok("GET", "sys/mounts")


def test_shares_in_sealed_boxes_open_with_their_private_keys_only(start):
    vault, private = start(), [PrivateKey.generate() for _ in range(3)]
    public = [base64.b64encode(bytes(key.public_key)).decode() for key in private]
    answer = vault.init(secret_shares=3, secret_threshold=2, custodian_keys=public)
    assert "keys_mnemonic" not in answer
    assert vault.call("PUT", "sys/unseal", {"key": answer["keys_base64"][0]}).status == 400
    words = [
        SealedBox(key).decrypt(base64.b64decode(sealed)).decode()
        for key, sealed in zip(private, answer["keys_base64"], strict=True)
    ]
    assert vault.unseal(words[2], words[0]).body["sealed"] is False
