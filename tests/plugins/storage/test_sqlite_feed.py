import sqlite3
from contextlib import closing

import pytest
from broker_plugins.storage.sqlite import reading, schema, writing
from broker_plugins.storage.sqlite.inspection import inspect
from broker_plugins.storage.sqlite.writing import FEED_REVISIONS
from hypothesis import given
from hypothesis import strategies as st

from broker.plugin.errors import InvalidRequest, Tampered
from broker.plugin.storage import ABSENT, Batch, Changes, Committed, Rejected


def feed_rows(store):
    with closing(sqlite3.connect(store.file)) as connection:
        return connection.execute("SELECT revision, paths FROM changes ORDER BY revision").fetchall()


def edit(store, statement, *values):
    with closing(sqlite3.connect(store.file)) as connection, connection:
        connection.execute(statement, values)


async def commit(store, *batches):
    return await store.commit([Batch(dict(writes)) for writes in batches])


# One row per commit


async def test_a_commit_of_many_batches_is_one_row_named_by_its_last_revision(store):
    await commit(store, {"a": b"1", "b": b"1"}, {"b": None}, {"é\n": b"1"})
    await commit(store, {"a": b"2"})
    assert feed_rows(store) == [(3, '[[1,"a"],[1,"b"],[2,"b"],[3,"é\\n"]]'), (4, '[[4,"a"]]')]


async def test_a_group_that_writes_nothing_leaves_no_row(store):
    await commit(store, {"a": b"1"})
    await store.commit([Batch({}, {"a": 1}), Batch({"a": b"2"}, {"a": ABSENT})])
    assert [revision for revision, _ in feed_rows(store)] == [1]


async def test_a_reader_in_the_middle_of_a_commit_is_told_the_rest_of_it(store):
    await commit(store, {"a": b"1"}, {"b": b"2", "c": b"2"}, {"c": b"3"})
    await commit(store, {"b": b"4"}, {"d": b"5"})
    told = [await store.changes(since) for since in range(6)]
    assert told == [
        Changes(5, {"a": 1, "b": 4, "c": 3, "d": 5}),
        Changes(5, {"b": 4, "c": 3, "d": 5}),
        Changes(5, {"c": 3, "b": 4, "d": 5}),
        Changes(5, {"b": 4, "d": 5}),
        Changes(5, {"d": 5}),
        Changes(5, {}),
    ]


async def test_a_reader_from_the_future_starts_over_also_on_an_empty_store(store):
    assert await store.changes(3) == Changes(0, None)
    await commit(store, {"a": b"1"}, {"a": b"2"})
    assert await store.changes(3) == Changes(2, None)


async def test_a_gap_is_found_exactly_also_inside_a_commit(store):
    await commit(store, {"a": b"1"}, {"b": b"2"})
    await commit(store, {"c": b"3"}, {"d": b"4"})
    edit(store, "DELETE FROM changes WHERE revision = 2")
    told = [(await store.changes(since)).paths for since in range(5)]
    assert told == [None, None, {"c": 3, "d": 4}, {"d": 4}, {}]


async def test_the_quick_case_reads_no_paths(store):
    await commit(store, {"a": b"1"})
    edit(store, "UPDATE changes SET paths = CAST(x'ff' AS TEXT)")  # to read it would raise
    assert await store.changes(1) == Changes(1, {})


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "[[1]]", '[["1", "a"]]', '[[1, "\\ud800"]]'])
async def test_a_damaged_feed_is_told_by_name_and_entries_are_still_read(store, text):
    await commit(store, {"a": b"1"}, {"a": b"2"})
    edit(store, "UPDATE changes SET paths = ?", text)
    with pytest.raises(Tampered, match="the store of tenant root is damaged"):
        await store.changes(1)
    assert (await store.get("a")).value == b"2"


# Bounds


async def test_the_change_feed_is_bounded_and_the_revision_survives_it(backend, store):
    for start in range(0, 9000, 500):
        await commit(store, *({"same": b"%d" % (start + number)} for number in range(500)))
    assert inspect(store.file)["changes"] <= 10
    await backend.close()
    assert await (await backend.open("root")).revision() == 9000


@pytest.mark.parametrize("size", [1, 7, 300])
def test_at_least_the_promised_revisions_are_reachable_after_each_commit(tmp_path, size):
    with closing(new_connection(tmp_path)) as connection:
        revision = rows = 0
        while revision < FEED_REVISIONS + 600:
            apply(connection, [Batch({"same": b"1"})] * size)
            revision += size
            before, (rows,) = rows, connection.execute("SELECT count(*) FROM changes").fetchone()
            shortened = rows <= before  # then the feed reaches back least far
            if revision > FEED_REVISIONS and (shortened or revision // size % 50 == 0):
                assert reading.changes(connection, revision - FEED_REVISIONS).paths == {"same": revision}
        assert reading.changes(connection, 0).paths is None
        assert connection.execute("SELECT count(*) FROM changes").fetchone()[0] * size < FEED_REVISIONS + 1200


async def test_a_huge_commit_is_one_row_and_is_told_whole(store):
    names = {f"n/{number:05}": b"x" for number in range(20_000)}
    await commit(store, names)
    assert (await store.changes(0)).paths == dict.fromkeys(names, 1)


# Any path, any order


async def test_a_lone_surrogate_is_refused_also_as_a_precondition(store):
    for batch in (Batch({"\ud800": b"1"}), Batch({"a": b"1"}, {"\ud800": ABSENT})):
        with pytest.raises(InvalidRequest):
            await store.commit([Batch({"good": b"1"}), batch])
    assert await store.scan("") == []
    assert await commit(store, {"good": b"1"}) == [Committed(1)]


def new_connection(folder):
    file = folder / "x.db"
    file.touch()
    schema.create(file, "root")
    return schema.connect(file, synchronous="OFF")


def apply(connection, batches):
    connection.execute("BEGIN IMMEDIATE")
    outcomes = writing.apply(connection, batches)
    connection.execute("COMMIT")
    return outcomes


class Model:
    """What must be true: each path's revision and value, and the feed as a plain list that is never pruned."""

    def __init__(self):
        self.revision, self.stored, self.values, self.feed = 0, {}, {}, []

    def judge(self, writes, expects):
        moved = tuple(path for path, revision in expects.items() if self.stored.get(path, 0) != revision)
        if moved:
            return Rejected(moved)
        self.revision += bool(writes)
        for path, value in writes.items():
            self.stored[path] = 0 if value is None else self.revision
            self.values[path] = value
            self.feed.append((self.revision, path))
        return Committed(self.revision)

    def changes(self, since):
        if since > self.revision:
            return Changes(self.revision, None)
        return Changes(self.revision, {path: revision for revision, path in self.feed if revision > since})


ANY_PATH = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4)
PATH = st.sampled_from(["a", "b/\n", 'c"\\', "é", "😀", "\x01\x1f", "1", "null", "\u2028"]) | ANY_PATH
BATCH = st.tuples(
    st.dictionaries(PATH, st.none() | st.binary(max_size=3), max_size=4),
    # By how much the writer's idea of the path's revision is wrong: mostly not at all.
    st.dictionaries(PATH, st.sampled_from([0, 0, 0, 0, 1]), max_size=3),
)
GROUPS = st.lists(st.lists(BATCH, max_size=6), max_size=8)


@given(GROUPS)
def test_any_groups_leave_the_entries_and_the_feed_of_a_plain_model(groups):
    model = Model()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.CREATE)
        for group in groups:
            batches, expected = [], []
            for writes, errors in group:
                expects = {path: model.stored.get(path, 0) + error for path, error in errors.items()}
                batches.append(Batch(writes, expects))
                expected.append(model.judge(writes, expects))
            assert apply(connection, batches) == expected
            for since in range(model.revision + 3):
                assert reading.changes(connection, since) == model.changes(since)
        entries = {
            path: rest for path, *rest in connection.execute("SELECT path, value, revision FROM entries")
        }
    assert entries == {
        path: [model.values[path], revision] for path, revision in model.stored.items() if revision
    }
