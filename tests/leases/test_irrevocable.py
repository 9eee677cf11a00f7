"""Leases whose revocation fails again and again, on a real node: what is tried, shown, kept and in the end forgotten.

The pauses between tries are the real ones; the machine's clock is set forward to the end of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.fixtures.servers import clean_environment
from tests.fixtures.walltime import WallClock, wall_clock_in
from tests.invariants.node import Node, eventually
from tests.leases.conftest import Target, lookup, offer

PLACES = ["shown", "tidied", "asked", "forced", "disabled"]
SPACES = ["above/", "above/below/", "going/", "coming/"]
DAY = 24 * 3600


class Stuck:
    """A mount whose target refuses, and two leases that it refused to revoke six times."""

    def __init__(self, node: Node, clock: WallClock, path: str, folder: Path, namespace: str = "") -> None:
        self.node, self.clock, self.namespace = node, clock, namespace
        self.target = Target(node, path, folder, namespace)
        self.leases = [self.target.issue(role, ttl="20h").body["lease_id"] for role in ("app", "web")]
        self.target.mode("fail")

    def revoke(self) -> None:
        for lease in self.leases:
            self.put("revoke", {"lease_id": lease, "sync": False})

    def put(self, path: str, body: object = None):
        return self.node.call("PUT", f"sys/leases/{path}", body, namespace=self.namespace)

    def trouble(self, lease: str):
        """How revoking a lease has failed so far; ``None`` if it has not, or it is gone."""
        found = lookup(self.node, lease, namespace=self.namespace).body
        return (found.get("data") or {}).get("revocation")

    def tried(self, attempts: int, *leases: str) -> None:
        """Wait until so many tries of some leases have failed."""
        for lease in leases or self.leases:
            eventually(lambda lease=lease: (self.trouble(lease) or {"attempts": 0})["attempts"] >= attempts)

    def over(self, attempts: int) -> list[str]:
        """The leases that were tried so often; on a slow machine some are a try ahead of the others."""
        return sorted(lease for lease in self.leases if self.trouble(lease)["attempts"] >= attempts)

    def due(self) -> float:
        """When the last of its leases is tried next (Unix seconds)."""
        told = [self.trouble(lease)["next_attempt"] for lease in self.leases]
        return max(datetime.fromisoformat(when).timestamp() for when in told)

    def shown(self) -> list[str]:
        """The leases of this mount that are listed as irrevocable."""
        rows = self.node.ok("GET", "sys/leases/irrevocable", namespace=self.namespace).data["leases"]
        return sorted(row["lease_id"] for row in rows if row["path"].startswith(self.target.path))

    def accessor(self) -> str:
        mounts = self.node.ok("GET", "sys/mounts", namespace=self.namespace).data
        return mounts[f"{self.target.path}/"]["accessor"]


@pytest.fixture(scope="module")
def stuck(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stuck]]:
    """One mount of each name, on one node: a test may do to its own what it likes."""
    folder = tmp_path_factory.mktemp("irrevocable")
    with wall_clock_in(folder / "clock") as clock:
        node = Node.begin(folder, "irrevocable", workers=2)
        try:
            for space in SPACES:
                parent, _, name = space.rstrip("/").rpartition("/")
                node.ok("POST", f"sys/namespaces/{name}", namespace=parent)
            made = {name: Stuck(node, clock, name, folder / name) for name in PLACES}
            made |= {name: Stuck(node, clock, "db", folder / name.replace("/", "-"), name) for name in SPACES}
            fail_five_times(clock, list(made.values()))
            for one in made.values():
                assert one.shown() == one.over(6)  # not before
            fail_once_more(clock, list(made.values()), 6)
            yield made
        finally:
            node.end()


def fail_five_times(clock: WallClock, mounts: list[Stuck]) -> None:
    for one in mounts:
        one.revoke()
    for one in mounts:
        one.tried(1)
    for attempts in range(2, 6):
        fail_once_more(clock, mounts, attempts)


def fail_once_more(clock: WallClock, mounts: list[Stuck], attempts: int) -> None:
    now = mounts[0].node.call("GET", "sys/health", token="").body["server_time_utc"]
    clock.forward(max(max(one.due() for one in mounts) - now + 1, 0))
    for one in mounts:
        one.tried(attempts)


def test_after_six_failures_a_lease_is_shown_with_its_last_error(stuck):
    one = stuck["shown"]
    assert one.shown() == sorted(one.leases)
    rows = one.node.ok("GET", "sys/leases/irrevocable").data["leases"]
    row = next(row for row in rows if row["lease_id"] == one.leases[0])
    assert row == {"lease_id": one.leases[0], "path": "shown/creds/app", **one.trouble(one.leases[0])}
    assert (row["attempts"] >= 6, row["irrevocable"], row["last_error"]) == (True, True, "ValueError")
    listed = one.node.ok("GET", "sys/leases?type=irrevocable").data
    wanted = {"lease_id": one.leases[0], "mount_id": one.accessor(), "error": "ValueError"}
    assert wanted in listed["leases"]
    assert listed["lease_count"] == len(listed["leases"])
    counted = one.node.ok("GET", "sys/leases/count?type=irrevocable").data
    assert counted["counts"][one.accessor()] == 2
    log = one.node.server.log_path.read_text()
    assert log.count(f"lease.irrevocable lease=id/{one.leases[0]} reason=ValueError") == 1
    assert "p4ss-" not in log
    renewed = one.put("renew", {"lease_id": one.leases[0]})
    assert renewed.errors == ["lease is expired and has failed previous revocation attempts"]
    assert lookup(one.node, one.leases[0]).data["revoke_error"] == "ValueError"


def test_it_is_kept_tried_now_and_then_and_gone_when_the_target_is_back(stuck):
    one = stuck["tidied"]
    before = len(one.target.tries())
    assert before >= 12
    assert one.put("tidy").status == 202
    one.clock.forward(DAY)
    eventually(lambda: len(one.target.tries()) >= before + 2)
    assert one.shown() == sorted(one.leases)
    one.target.mode("ok")
    one.clock.forward(DAY)
    assert one.target.emptied()
    eventually(lambda: one.shown() == [] and lookup(one.node, one.leases[0]).status == 400)
    assert one.accessor() not in one.node.ok("GET", "sys/leases/count?type=irrevocable").data["counts"]


@pytest.mark.parametrize("sync", [True, False])
def test_whoever_asks_for_it_has_it_tried_at_once(stuck, sync):
    one, lease = stuck["asked"], stuck["asked"].leases[sync]
    one.target.mode("fail")
    below = lease.rpartition("/")[0]
    for path, body in [
        ("revoke", {"lease_id": lease}),
        (f"revoke-prefix/{lease}", {}),
        (f"revoke-prefix/{below}", {}),
    ]:
        known = one.trouble(lease)["attempts"]
        reply = one.put(path, {"sync": sync, **body})
        assert (reply.status == 400) is sync  # who waits is told that it failed again
        assert "p4ss-" not in repr(reply)
        one.tried(known + 1, lease)
    one.target.mode("ok")
    assert one.put("revoke", {"lease_id": lease, "sync": sync}).status == (204 if sync else 202)
    eventually(lambda: lease not in one.shown() and lookup(one.node, lease).status == 400)


def test_force_forgets_it(stuck):
    one = stuck["forced"]
    for path in (one.leases[0], "forced"):
        assert one.put(f"revoke-force/{path}").status == 204
        assert one.leases[0] not in one.shown()
        assert lookup(one.node, one.leases[0]).status == 400
    assert one.shown() == []
    assert len(one.target.live()) == 2  # they still work there, which is why force needs sudo


def test_a_mount_that_was_disabled_is_still_named_and_its_leases_are_still_tried(stuck):
    one = stuck["disabled"]
    accessor = one.accessor()
    one.node.ok("DELETE", "sys/mounts/disabled")
    assert one.node.ok("GET", "sys/leases/count?type=irrevocable").data["counts"][accessor] == 2
    one.target.mode("ok")
    assert one.put("revoke-prefix/disabled", {"sync": True}).status == 204
    assert one.target.live() == set()


# Namespaces


def count(node, namespace="", **query):
    asked = "&".join(f"{name}={value}" for name, value in {"type": "irrevocable", **query}.items())
    return node.ok("GET", f"sys/leases/count?{asked}", namespace=namespace).data["counts"]


@pytest.mark.parametrize("form", ["true", "false", None])
def test_those_of_namespaces_below_are_shown_to_whoever_asks_for_them(stuck, form):
    above, below = stuck["above/"], stuck["above/below/"]
    node, query = above.node, {"include_child_namespaces": form} if form else {}
    wanted = {above.accessor(): 2} | ({below.accessor(): 2} if form == "true" else {})
    assert count(node, "above", **query) == wanted
    asked = f"type=irrevocable&include_child_namespaces={form or 'false'}"
    listed = node.ok("GET", f"sys/leases?{asked}", namespace="above").data
    assert {row["lease_id"] for row in listed["leases"]} == {
        *above.leases,
        *(below.leases if form == "true" else ()),
    }
    shown = node.ok("GET", f"sys/leases/irrevocable?{asked.partition('&')[2]}", namespace="above").data[
        "leases"
    ]
    assert {row["lease_id"]: row.get("namespace_path") for row in shown} == {
        **dict.fromkeys(above.leases, "above/"),
        **(dict.fromkeys(below.leases, "above/below/") if form == "true" else {}),
    }
    assert below.accessor() not in count(node, **query) or form == "true"
    limited = node.ok("GET", f"sys/leases?{asked}&limit=1", namespace="above").data
    assert len(limited["leases"]) == 1


def gone(node, name):
    return eventually(lambda: node.call("GET", f"sys/namespaces/{name}").status == 404)


def test_a_namespace_that_is_being_deleted_shows_what_keeps_it_and_goes_when_that_is_revoked(stuck):
    one = stuck["coming/"]
    node, accessor = one.node, one.accessor()
    assert node.ok("DELETE", "sys/namespaces/coming").body["data"] == {"status": "in-progress"}
    assert node.call("GET", "sys/leases/irrevocable", namespace="coming").status == 404
    assert node.ok("GET", "sys/namespaces/coming").data["tainted"] is True
    assert count(node, include_child_namespaces="true")[accessor] == 2
    before = len(one.target.tries())
    node.ok("DELETE", "sys/namespaces/coming")  # asked again, it is tried again
    eventually(lambda: len(one.target.tries()) >= before + 2)
    one.target.mode("ok")
    node.ok("DELETE", "sys/namespaces/coming")
    gone(node, "coming")
    assert one.target.live() == set()


def test_a_namespace_is_deleted_by_force_though_its_leases_cannot_be_revoked(stuck):
    one = stuck["going/"]
    node, accessor = one.node, one.accessor()
    node.policy("tenants", 'path "sys/namespaces/*" { capabilities = ["delete"] }')
    few = node.mint("tenants")
    node.ok("DELETE", "sys/namespaces/going", token=few)
    assert node.call("DELETE", "sys/namespaces/going?force=true", token=few).status == 403
    assert node.ok("GET", "sys/namespaces/going").data["tainted"] is True
    broker = str(Path(sys.executable).parent / "broker")
    environment = clean_environment(BROKER_ADDR=node.server.address, BROKER_TOKEN=node.token)
    subprocess.run([broker, "namespace", "delete", "-force", "going"], env=environment, check=True)
    gone(node, "going")
    assert accessor not in count(node, include_child_namespaces="true")
    assert len(one.target.live()) == 2
    node.ok("POST", "sys/namespaces/going")
    assert node.call("LIST", "sys/leases/lookup/db", namespace="going").status == 404


# An engine that is not there any more


@pytest.fixture
def plugin(site, wall_clock, tmp_path, monkeypatch):
    """The folder that alone offers the engine: a test may take it away between two starts."""
    folder = tmp_path / "plugins"
    offer(folder, Path(__file__).with_name("broker_target.py"))
    monkeypatch.setenv("PYTHONPATH", f"{wall_clock.folder}{os.pathsep}{folder}")
    return folder


def test_leases_of_a_plugin_that_was_removed_are_kept_and_revoked_when_it_is_back(
    plugin, wall_clock, begin, tmp_path
):
    node = begin(workers=2)
    one = Stuck(node, wall_clock, "target", tmp_path / "target")
    one.target.mode("ok")
    forced = one.target.issue().body["lease_id"]
    node.server.stop()
    plugin.rename(tmp_path / "removed")
    node.restart()  # a node starts without it
    assert node.call("GET", "target/creds/app").status == 400
    fail_five_times(wall_clock, [one])
    fail_once_more(wall_clock, [one], 6)
    assert one.shown() == sorted(one.leases)
    assert one.trouble(one.leases[0])["last_error"] == 'plugin not found in the catalog: "target"'
    refused = one.put("revoke", {"lease_id": forced, "sync": True})
    assert "plugin not found" in refused.errors[0]
    assert one.put(f"revoke-force/{forced}").status == 204
    assert lookup(node, forced).status == 400
    assert len(one.target.live()) == 3
    node.server.stop()
    (tmp_path / "removed").rename(plugin)
    node.restart()
    assert one.put("revoke-prefix/target", {"sync": True}).status == 204
    assert one.shown() == []
    assert len(one.target.live()) == 1  # the one that was forgotten
    one.target.issue()
