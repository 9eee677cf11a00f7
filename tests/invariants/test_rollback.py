"""Invariant: an older copy of the store does not open unnoticed, and what was revoked or used up since stays so."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.invariants.node import Node, eventually

ALL = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'


@dataclass
class Anchored:
    """A node with an anchor, and copies of its store."""

    node: Node

    @property
    def data(self) -> Path:
        return self.node.folder / "data"

    def marks(self) -> dict[str, str]:
        path = self.node.folder / "anchor"
        return json.loads(path.read_bytes()) if path.exists() else {"mark": "", "next": "?"}

    def settle(self) -> None:
        """Wait until everything answered so far lies behind a mark, and no other mark fits."""

        def settled() -> str:
            marks = self.marks()
            return marks["mark"] if marks["mark"] == marks["next"] else ""

        before = eventually(settled)
        self.node.ok("POST", "secret/data/last", {"data": {"n": before}})
        eventually(lambda: settled() not in ("", before))

    def keep(self, name: str) -> Path:
        """Stop as a power cut would, and keep a copy of the store."""
        self.node.server.kill()
        self.node.close()
        return Path(shutil.copytree(self.data, self.node.folder / name))

    def put_back(self, copy: Path, *, only: str = "") -> None:
        """Replace the store, or what of it belongs to one namespace, by a copy."""
        self.node.server.kill()
        self.node.close()
        for path in self.files(self.data, only):
            path.unlink()
        for path in self.files(copy, only):
            shutil.copy(path, self.data)

    @staticmethod
    def files(folder: Path, name: str) -> list[Path]:
        return [path for path in folder.iterdir() if path.is_file() and name in path.name]

    def start(self, *flags: str) -> None:
        server = self.node.server
        server.kill()
        self.node.close()
        server.argv = [*(part for part in server.argv if part != "-accept-rollback"), *flags]
        server.start()

    def tokens(self) -> int:
        """Tokens that lie in the root store, dead or alive."""
        with closing(sqlite3.connect(f"file:{self.data / 'root.db'}?mode=ro", uri=True)) as base:
            return base.execute("SELECT count(*) FROM entries WHERE path LIKE 'sys/token/id/%'").fetchone()[0]

    def unseal(self):
        return self.node.call("PUT", "sys/unseal", {"key": self.node.share}, token="")

    def login(self, name: str, **given: str) -> str:
        reply = self.node.call("POST", f"auth/{name}", given, token="")
        return reply.body["auth"]["client_token"] if reply.status == 200 else f"{reply.status} {reply.errors}"

    def status(self, token: str, namespace: str = "") -> int:
        return self.node.call("GET", "auth/token/lookup-self", token=token, namespace=namespace).status


@pytest.fixture
def anchored(begin):
    node = begin(rollback_anchor="anchor")
    node.kv("secret")
    node.policy("all", ALL)
    node.ok("POST", "sys/auth/userpass", {"type": "userpass"})
    node.ok("POST", "auth/userpass/users/ann", {"password": "correct horse", "token_policies": ["all"]})
    node.ok("POST", "sys/auth/approle", {"type": "approle"})
    node.ok("POST", "auth/approle/role/app", {"token_policies": ["default"]})
    node.ok("POST", "sys/namespaces/team", {})
    node.kv("secret", namespace="team")
    return Anchored(node)


def test_a_store_that_was_put_back_opens_only_on_demand_and_then_without_its_tokens(anchored):
    node = anchored.node
    role_id = node.ok("GET", "auth/approle/role/app/role-id").data["role_id"]
    secret_ids = {
        uses: node.ok("POST", "auth/approle/role/app/secret-id", {"num_uses": uses}).data["secret_id"]
        for uses in (0, 1)
    }
    revoked, spared = node.mint("default"), node.mint("default")
    batch = node.mint("default", type="batch", ttl="1h")
    below = node.mint("default", namespace="team")
    wrapped = node.ok("POST", "sys/wrapping/wrap", {"a": "b"}, headers=[("X-Vault-Wrap-TTL", "1h")])
    wrapping = wrapped.body["wrap_info"]["token"]
    anchored.settle()
    older = anchored.keep("older")
    node.restart()
    node.ok("POST", "auth/token/revoke", {"token": revoked})
    node.ok("POST", "sys/wrapping/unwrap", {"token": wrapping})
    assert anchored.login("approle/login", role_id=role_id, secret_id=secret_ids[1]).startswith("hvs.")
    anchored.settle()
    newer = anchored.keep("newer")

    anchored.put_back(older)
    anchored.start()
    refused = anchored.unseal()
    assert refused.status == 400
    assert "-accept-rollback" in refused.errors[0]
    status = node.ok("GET", "sys/seal-status").body
    assert status["sealed"]
    assert status["rollback_detected"]
    assert node.call("GET", "secret/data/last").status == 503
    anchored.put_back(newer)
    anchored.start()
    assert anchored.unseal().status == 200
    assert "rollback_detected" not in node.ok("GET", "sys/seal-status").body
    assert anchored.status(spared) == 200

    anchored.put_back(older)
    anchored.start("-accept-rollback")
    assert anchored.unseal().status == 200
    for token in (node.token, revoked, spared, batch):
        assert anchored.status(token) == 403
    assert anchored.status(below, "team") == 403
    assert node.call("POST", "sys/wrapping/unwrap", {"token": wrapping}, token="").status in (400, 403)
    assert anchored.login("approle/login", role_id=role_id, secret_id=secret_ids[1]).startswith("400")
    fresh = anchored.login("approle/login", role_id=role_id, secret_id=secret_ids[0])
    node.token = anchored.login("userpass/login/ann", password="correct horse")
    assert anchored.status(fresh) == 200
    assert node.ok("GET", "secret/data/last").data["data"]["n"]
    node.ok("POST", "team/secret/data/a", {"data": {"a": 1}})
    eventually(lambda: anchored.tokens() == 2)  # the others are cleared

    anchored.settle()
    anchored.start()
    assert anchored.unseal().status == 200
    assert anchored.status(fresh) == 200
    assert anchored.status(spared) == 403
    assert anchored.status(below, "team") == 403


def test_one_namespace_that_was_put_back_is_closed_and_the_others_serve(anchored):
    node = anchored.node
    uuid = node.ok("GET", "sys/namespaces/team").data["uuid"]
    below = node.mint("default", namespace="team")
    node.ok("POST", "team/secret/data/a", {"data": {"a": 1}})
    anchored.settle()
    older = anchored.keep("older")
    node.restart()
    node.ok("POST", "auth/token/revoke", {"token": below}, namespace="team")
    anchored.settle()

    anchored.put_back(older, only=uuid)
    anchored.start()
    assert anchored.unseal().status == 200
    closed = node.call("GET", "team/secret/data/a")
    assert closed.status == 503
    assert "put back" in closed.errors[0]
    node.ok("POST", "secret/data/a", {"data": {"a": 2}})
    anchored.settle()  # the steward goes on with the rest

    anchored.start("-accept-rollback")
    assert anchored.unseal().status == 200
    assert node.ok("GET", "team/secret/data/a").data["data"] == {"a": 1}
    assert anchored.status(below, "team") == 403
    assert anchored.status(node.mint("default", namespace="team"), "team") == 200


def test_a_lost_anchor_is_noticed_like_a_lost_store_and_no_new_store_begun_over_it(anchored):
    node, anchor = anchored.node, anchored.node.folder / "anchor"
    anchored.settle()
    kept = anchor.read_bytes()
    anchor.unlink()
    anchored.start()
    assert anchored.unseal().status == 400
    anchor.write_text("no anchor")
    broken = anchored.unseal()
    assert broken.status == 400
    assert "not a readable anchor" in broken.errors[0]
    assert node.ok("GET", "sys/seal-status").body["sealed"]
    anchor.write_bytes(kept)
    node.unseal()

    node.server.kill()
    shutil.rmtree(anchored.data)
    anchored.start()
    refused = node.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
    assert refused.status == 400
    assert "anchor" in refused.errors[0]
    anchor.unlink()
    node.ok("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
