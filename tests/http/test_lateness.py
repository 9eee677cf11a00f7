"""Requests that take too long: an answer for the caller, no effect without a commit, no half of one with it."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from broker_plugins.storage.sqlite import SqliteBackend

from broker.barrier.codec import TenantCodec, new_tenant_secret
from broker.barrier.keyring import Keyring
from broker.http.app import create_edge
from broker.http.listener import RuleBook
from broker.plugin.messages import Response
from broker.server.settings import ListenerConfig
from broker.storage import LocalSignal, TenantStore, Writer

LIMIT = timedelta(milliseconds=50)


class Edge:
    """The edge before a handler of the test's, on a listener with a short limit."""

    def __init__(self, handle, **options):
        self.book = RuleBook(other=ListenerConfig(**{"max_request_duration": LIMIT} | options))
        self.app = create_edge(handle, self.book)
        self.lateness = self.book.find({}).lateness

    async def get(self, path="kv/a"):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": b"/v1/" + path.encode(),
            "query_string": b"",
            "headers": [],
        }
        await self.app(scope, receive, send)
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
        return sent[0]["status"], json.loads(sent[1]["body"])


async def forever(request):
    await asyncio.Event().wait()


async def test_a_request_over_its_time_is_answered_503_once():
    status, body = await Edge(forever).get()
    assert status == 503
    assert "max_request_duration (0.05s)" in body["errors"][0]


async def test_many_at_once_are_each_answered():
    edge = Edge(forever)
    answers = await asyncio.gather(*(edge.get() for _ in range(50)))
    assert {status for status, _ in answers} == {503}
    assert not edge.lateness.running


async def test_a_request_within_its_time_is_left_alone():
    async def handle(request):
        await asyncio.sleep(0.001)
        return Response(data={"ok": True})

    edge = Edge(handle, max_request_duration=timedelta(seconds=60))
    assert [(await edge.get())[0] for _ in range(5)] == [200] * 5
    assert not edge.lateness.running


async def test_the_young_are_spared_when_the_old_are_cut_off():
    release = asyncio.Event()

    async def handle(request):
        await (release.wait() if request.path == "young" else forever(request))
        return Response(data={})

    edge = Edge(handle, max_request_duration=timedelta(milliseconds=200))
    old = asyncio.create_task(edge.get("old"))
    while edge.lateness.tick < 6:  # of ten in a limit
        await asyncio.sleep(0.01)
    young = asyncio.create_task(edge.get("young"))
    assert (await old)[0] == 503
    release.set()
    assert (await young)[0] == 200


async def test_a_ceremony_is_not_cut_off():
    steps = []

    async def handle(request):
        await asyncio.sleep(LIMIT.total_seconds() * 4)
        steps.append(request.path)
        return Response(data={})

    for path in ("sys/init", "sys/rekey/update", "sys/rotate/root/update", "team/sys/namespaces/a"):
        assert (await Edge(handle).get(path))[0] == 200
    assert len(steps) == 4
    assert (await Edge(handle).get("sys/mounts"))[0] == 503


async def test_a_cancellation_from_elsewhere_is_not_ours_to_answer():
    edge = Edge(forever, max_request_duration=timedelta(seconds=60))
    task = asyncio.create_task(edge.get())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not edge.lateness.running


async def test_a_handler_that_answers_all_the_same_is_heard_and_forgotten():
    async def handle(request):
        with suppress(asyncio.CancelledError):
            await forever(request)
        return Response(data={})

    edge = Edge(handle)
    task = asyncio.current_task()
    assert (await edge.get())[0] == 200
    assert (task.cancelling(), edge.lateness.expired(task)) == (0, False)


async def test_the_clock_stops_when_nobody_is_there():
    edge = Edge(forever)
    await edge.get()
    while edge.lateness.timer is not None:
        await asyncio.sleep(0.01)
    assert (await edge.get())[0] == 503, "it did not start again"


@pytest.fixture
async def raw(tmp_path):
    backend = SqliteBackend(str(tmp_path / "data"))
    yield await backend.open("root", create=True)
    await backend.close()


@pytest.fixture
def tenant(raw):
    keyring = Keyring.create(datetime.now(UTC), os.urandom)
    codec = TenantCodec(lambda: keyring, "root", new_tenant_secret())
    return TenantStore(raw, tenant="root", codec=codec, signal=LocalSignal(), writer=Writer())


async def stored(tenant):
    tx = await tenant.begin()
    return [await tx.get(path) for path in ("a", "b")]


async def test_cut_off_before_its_commit_a_request_has_had_no_effect(tenant):
    async def handle(request):
        tx = await tenant.begin()
        tx.put("a", b"1")
        tx.put("b", b"2")
        await forever(request)
        await tx.commit()

    assert (await Edge(handle).get())[0] == 503
    await tenant.writer.flush()
    assert await stored(tenant) == [None, None]


async def test_cut_off_during_its_commit_a_request_stands_as_a_whole(tenant, raw, monkeypatch):
    release, commit = asyncio.Event(), raw.commit_next

    async def slow(take):
        await release.wait()
        return await commit(take)

    async def handle(request):
        tx = await tenant.begin()
        tx.put("a", b"1")
        tx.put("b", b"2")
        await tx.commit()
        return Response(data={})

    monkeypatch.setattr(type(raw), "commit_next", lambda self, take: slow(take))
    status, body = await Edge(handle).get()
    assert status == 503
    assert "may have taken effect" in body["errors"][0]
    release.set()
    await tenant.writer.flush()
    assert await stored(tenant) == [b"1", b"2"]
