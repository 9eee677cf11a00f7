"""Merge-patch against its RFC, and the bookkeeping of versions against a simple model."""

import asyncio

import pytest
from broker_plugins.engines.kv import VersionedEngine
from broker_plugins.engines.kv.documents import merge_patch, outline
from broker_plugins.engines.kv.records import duration, timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.plugin import NotFound
from broker.plugin.testing.engine import EngineHarness

RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_merge_patch_follows_the_vectors_of_its_rfc(target, patch, result):
    assert merge_patch(target, patch) == result


def has_null(value):
    return isinstance(value, dict) and any(inner is None or has_null(inner) for inner in value.values())


@settings(max_examples=100, deadline=None)
@given(JSON, JSON)
def test_merge_patch_is_idempotent_and_leaves_its_arguments_alone(target, patch):
    before = repr((target, patch))
    once = merge_patch(target, patch)
    assert repr((target, patch)) == before
    assert merge_patch(once, patch) == once
    if isinstance(patch, dict) and not has_null(patch):
        assert merge_patch({}, patch) == patch


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("ab", max_size=2), JSON, max_size=4), st.integers(0, 4))
def test_an_outline_has_the_names_and_no_value(document, depth):
    def check(shown, value, level):
        assert shown.keys() == value.keys()
        for name, inner in shown.items():
            if inner is None:
                assert not isinstance(value[name], dict) or not value[name] or level == depth
            else:
                assert depth == 0 or level < depth
                check(inner, value[name], level + 1)

    check(outline(document, depth), document, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, ""), (1.0, "1970-01-01T00:00:01Z"), (1.000001, "1970-01-01T00:00:01.000001Z")]
)
def test_times_are_written_as_clients_expect(seconds, text):
    assert timestamp(seconds) == text


def test_durations_are_written_as_clients_expect():
    assert [duration(n) for n in (0, 59, 60, 3600, 90061)] == ["0s", "59s", "1m0s", "1h0m0s", "25h1m1s"]


class Versions(RuleBasedStateMachine):
    """One secret; the model keeps every version in a dictionary and forgets from the front."""

    def __init__(self):
        super().__init__()
        self.kit = EngineHarness(VersionedEngine)
        self.current = 0
        self.keep = 10
        self.states = {}

    def run_call(self, call):
        return asyncio.run(call)

    @rule()
    def write(self):
        written = self.run_call(self.kit.update("data/a", data={"n": self.current + 1}))
        self.current += 1
        self.states[self.current] = "live"
        self.states = {n: state for n, state in self.states.items() if n > self.current - self.keep}
        assert written["version"] == self.current

    @rule(keep=st.integers(1, 4))
    def narrow(self, keep):
        self.run_call(self.kit.update("metadata/a", max_versions=keep))
        self.keep = keep

    @rule()
    def delete_latest(self):
        self.run_call(self.kit.delete("data/a"))
        self.mark([self.current], {"live": "deleted"})

    @rule(numbers=st.lists(st.integers(1, 12), min_size=1, max_size=4))
    def delete(self, numbers):
        self.run_call(self.kit.update("delete/a", versions=numbers))
        self.mark(numbers, {"live": "deleted"})

    @rule(numbers=st.lists(st.integers(1, 12), min_size=1, max_size=4))
    def undelete(self, numbers):
        self.run_call(self.kit.update("undelete/a", versions=numbers))
        self.mark(numbers, {"deleted": "live"})

    @rule(numbers=st.lists(st.integers(1, 12), min_size=1, max_size=2))
    def destroy(self, numbers):
        self.run_call(self.kit.update("destroy/a", versions=numbers))
        self.mark(numbers, {"live": "destroyed", "deleted": "destroyed"})

    def mark(self, numbers, becomes):
        for n in numbers:
            if n in self.states:
                self.states[n] = becomes.get(self.states[n], self.states[n])

    @invariant()
    def each_version_reads_as_the_model_says(self):
        for n in range(1, self.current + 2):
            assert self.state_of(n) == self.states.get(n)

    def state_of(self, n):
        try:
            got = self.run_call(self.kit.read("data/a", version=n))
        except NotFound as error:
            if error.data is None:
                return None
            return "destroyed" if error.data["metadata"]["destroyed"] else "deleted"
        return "live" if got["data"] == {"n": n} else "another version's contents"

    @invariant()
    def only_contents_that_can_come_back_are_stored(self):
        stored = {path for path in self.kit.store.entries if path.startswith("ver/")}
        assert stored == {f"ver/a/{n}" for n, state in self.states.items() if state != "destroyed"}


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
