"""KV version 2: writing, reading, patching and deleting contents."""

import pytest
from broker_plugins.engines.kv.errors import (
    CasMismatch,
    CasRequired,
    CasUnreadable,
    NoName,
    NoVersions,
    UnknownOption,
    WrongFamily,
)

from broker.plugin import InvalidRequest, NotFound, Raw, UnsupportedOperation, Verb


async def test_what_was_written_is_read_with_its_version(kv):
    written = await kv.create("data/db", data={"user": "app"})
    assert written == {
        "created_time": "2023-11-14T22:13:20Z",
        "custom_metadata": None,
        "deletion_time": "",
        "destroyed": False,
        "version": 1,
    }
    assert await kv.read("data/db") == {"data": {"user": "app"}, "metadata": written}


async def test_every_write_is_a_version_of_its_own(kv):
    for number in (1, 2, 3):
        await kv.update("data/db", data={"n": number})
    assert (await kv.read("data/db", version="2"))["data"] == {"n": 2}
    for latest in (0, "0"):
        assert (await kv.read("data/db", version=latest))["data"] == {"n": 3}
    with pytest.raises(InvalidRequest, match='field "version": expected at least 0'):
        await kv.read("data/db", version=-1)
    with pytest.raises(NotFound) as error:
        await kv.read("data/db", version=4)
    assert error.value.data is None


async def test_a_stale_cas_is_refused_and_stores_nothing(kv):
    await kv.update("data/db", data={"user": "app"}, options={"cas": 0})
    before = dict(kv.store.entries)
    for cas in (0, 2, -1, None, ""):
        with pytest.raises(CasMismatch, match="check-and-set parameter did not match the current version"):
            await kv.update("data/db", data={"user": "eve"}, options={"cas": cas})
    assert kv.store.entries == before
    assert (await kv.update("data/db", data={}, options={"cas": "1"}))["version"] == 2


@pytest.mark.parametrize("options", [{"casx": 1}, {"CAS": 1}, {"cas": 1, "max_versions": 3}, {"": None}])
async def test_an_option_that_is_none_is_refused_and_stores_nothing(kv, options):
    await kv.update("data/db", data={"user": "app"})
    before = dict(kv.store.entries)
    for write in (kv.update, kv.patch):
        with pytest.raises(UnknownOption, match=r'unknown field "options\..*"; fields of options: cas'):
            await write("data/db", data={"user": "eve"}, options=options)
    assert kv.store.entries == before


@pytest.mark.parametrize("cas", ["x", 1.5, [0], {}, 10**20, "9" * 30, "--1"])
async def test_a_cas_that_is_no_number_is_refused(kv, cas):
    with pytest.raises(CasUnreadable, match="error parsing check-and-set parameter"):
        await kv.update("data/db", data={}, options={"cas": cas})
    assert kv.store.entries == {}


@pytest.mark.parametrize("setting", ["config", "metadata/db"])
async def test_cas_can_be_demanded_by_the_mount_or_by_the_secret(kv, setting):
    await kv.update(setting, cas_required=True)
    with pytest.raises(CasRequired, match="check-and-set parameter required for this call"):
        await kv.update("data/db", data={})
    await kv.update("data/db", data={}, options={"cas": 0})
    with pytest.raises(CasRequired):
        await kv.patch("data/db", data={})


async def test_a_write_without_data_is_refused(kv):
    for verb in (Verb.UPDATE, Verb.PATCH):
        for body in ({"options": {}}, {"data": None}):
            with pytest.raises(InvalidRequest, match="no data provided"):
                await kv.call(verb, "data/db", body)
    assert kv.store.entries == {}


@pytest.mark.parametrize("data", [[1], "text", 3, True])
async def test_data_must_be_an_object(kv, data):
    with pytest.raises(InvalidRequest, match='field "data": expected an object'):
        await kv.update("data/db", data=data)


async def test_a_folder_is_no_secret(kv):
    await kv.update("data/db", data={})
    for path in ("", "db/"):
        for family in ("data", "delete", "undelete", "destroy", "metadata"):
            with pytest.raises(NoName, match="cannot write to a path ending in '/'"):
                await kv.update(f"{family}/{path}", **({"data": {}} if family == "data" else {}))
        with pytest.raises(NotFound):
            await kv.read(f"data/{path}")
        await kv.delete(f"data/{path}")
        await kv.delete(f"metadata/{path}")
    assert (await kv.read("data/db"))["data"] == {}


async def test_numbers_and_names_come_back_exactly(kv):
    data = {
        "big": 10**4299,
        "negative": -(10**4298),
        "word": 2**64,
        "half": 0.1,
        "tiny": 5e-324,
        "": {"ü/😀": [None, True, {}]},
    }
    await kv.update("data/ü/😀 a", data=data)
    got = (await kv.read("data/ü/😀 a"))["data"]
    assert got == data
    assert [type(value) for value in got.values()] == [type(value) for value in data.values()]


async def test_deleting_hides_the_latest_version_and_undelete_brings_it_back(kv):
    await kv.update("data/db", data={"a": 1})
    kv.clock.advance(1.5)
    await kv.delete("data/db")
    with pytest.raises(NotFound) as error:
        await kv.read("data/db")
    assert error.value.data["data"] is None
    assert error.value.data["metadata"]["deletion_time"] == "2023-11-14T22:13:21.5Z"
    kv.clock.advance(1)
    await kv.delete("data/db")
    with pytest.raises(NotFound) as again:
        await kv.read("subkeys/db")
    assert again.value.data == {"subkeys": None, "metadata": error.value.data["metadata"]}
    await kv.update("undelete/db", versions=[1])
    assert (await kv.read("data/db"))["data"] == {"a": 1}


async def test_destroyed_contents_leave_the_storage_for_good(kv):
    await kv.update("data/db", data={"password": "canary"})
    await kv.update("data/db", data={})
    await kv.update("destroy/db", versions="1, 7")
    assert not any(b"canary" in value for value in kv.store.entries.values())
    await kv.update("undelete/db", versions=[1])
    with pytest.raises(NotFound) as error:
        await kv.read("data/db", version=1)
    assert error.value.data["metadata"]["destroyed"] is True


@pytest.mark.parametrize(("family", "word"), [("delete", "No"), ("undelete", "No"), ("destroy", "no")])
async def test_version_calls_must_name_versions_and_ignore_unknown_ones(kv, family, word):
    await kv.update("data/db", data={})
    before = dict(kv.store.entries)
    for body in ({}, {"versions": []}, {"versions": None}):
        with pytest.raises(NoVersions, match=f"^{word} version number provided"):
            await kv.update(f"{family}/db", **body)
    with pytest.raises(InvalidRequest, match='field "versions": expected'):
        await kv.update(f"{family}/db", versions=["a"])
    await kv.update(f"{family}/db", versions=[99, -1])
    await kv.update(f"{family}/none", versions=[1])
    assert kv.store.entries == before
    for verb in (Verb.READ, Verb.DELETE, Verb.LIST):
        with pytest.raises(UnsupportedOperation):
            await kv.call(verb, f"{family}/db")


async def test_only_as_many_versions_are_kept_as_were_asked_for(kv):
    for number in range(12):
        await kv.update("data/db", data={"n": number})
    meta = await kv.read("metadata/db")
    assert (meta["oldest_version"], meta["current_version"], len(meta["versions"])) == (3, 12, 10)
    await kv.update("metadata/db", max_versions=3)
    assert len((await kv.read("metadata/db"))["versions"]) == 10
    await kv.update("data/db", data={})
    assert sorted((await kv.read("metadata/db"))["versions"]) == ["11", "12", "13"]
    assert sorted(path for path in kv.store.entries if path.startswith("ver/")) == [
        "ver/db/11",
        "ver/db/12",
        "ver/db/13",
    ]
    with pytest.raises(NotFound) as error:
        await kv.read("data/db", version=10)
    assert error.value.data is None
    await kv.update("config", max_versions=5)
    await kv.update("data/db", data={})
    meta = await kv.read("metadata/db")
    assert (meta["oldest_version"], sorted(meta["versions"])) == (11, ["11", "12", "13", "14"])


async def test_a_version_ends_when_the_shorter_lifetime_does(kv):
    await kv.update("config", delete_version_after="1h")
    await kv.update("metadata/db", delete_version_after="30m")
    written = await kv.update("data/db", data={"a": 1})
    assert written["deletion_time"] == "2023-11-14T22:43:20Z"
    kv.clock.advance(1799)
    assert (await kv.read("data/db"))["data"] == {"a": 1}
    kv.clock.advance(1)
    with pytest.raises(NotFound):
        await kv.read("data/db")
    await kv.update("undelete/db", versions=[1])
    assert (await kv.read("data/db"))["metadata"]["deletion_time"] == "2023-11-14T23:13:20Z"
    await kv.update("config", delete_version_after=-7)
    assert (await kv.read("config"))["delete_version_after"] == "-1s"
    assert (await kv.update("data/db", data={}))["deletion_time"] == ""


async def test_a_patch_merges_into_the_current_version(kv):
    await kv.update("data/db", data={"a": [1, 2], "b": {"c": 1, "d": 2}, "n": None})
    assert (await kv.patch("data/db", data={"a": [3], "b": {"c": None}, "e": {"f": None}}))["version"] == 2
    assert (await kv.read("data/db"))["data"] == {"a": [3], "b": {"d": 2}, "n": None, "e": {}}
    assert (await kv.read("data/db", version=1))["data"] == {"a": [1, 2], "b": {"c": 1, "d": 2}, "n": None}
    with pytest.raises(CasMismatch):
        await kv.patch("data/db", data={"x": 1}, options={"cas": 1})


async def test_a_patch_needs_something_to_patch(kv):
    await kv.update("metadata/settings-only", max_versions=1)
    for path in ("data/none", "data/settings-only"):
        assert await kv.patch(path, data={"a": 1}) == Raw(b"", "application/json", status=404)
    await kv.update("data/db", data={})
    await kv.delete("data/db")
    with pytest.raises(NotFound) as error:
        await kv.patch("data/db", data={"a": 1})
    assert error.value.data["version"] == 1


async def test_subkeys_show_names_and_never_values(kv):
    await kv.update("data/db", data={"a": {"b": {"c": "s"}, "e": {}}, "l": [{"x": "s"}], "z": "s"})
    full = {"a": {"b": {"c": None}, "e": None}, "l": None, "z": None}
    assert (await kv.read("subkeys/db"))["subkeys"] == full
    assert (await kv.read("subkeys/db", depth="2"))["subkeys"] == {
        "a": {"b": None, "e": None},
        "l": None,
        "z": None,
    }
    assert (await kv.read("subkeys/db", depth=1))["subkeys"] == {"a": None, "l": None, "z": None}
    with pytest.raises(InvalidRequest, match='field "depth": expected at least 0'):
        await kv.read("subkeys/db", depth=-1)


async def test_a_new_secret_needs_create_and_a_known_one_update(kv):
    await kv.update("data/db", data={})
    assert kv.last.verb is Verb.CREATE
    await kv.update("data/db", data={})
    assert kv.last.verb is Verb.UPDATE
    await kv.delete("data/db")
    await kv.update("destroy/db", versions=[1])
    assert kv.last.verb is Verb.UPDATE
    await kv.update("metadata/new", max_versions=1)
    assert kv.last.verb is Verb.CREATE


async def test_secrets_below_a_secret_stay_apart(kv):
    await kv.update("data/a", data={"n": 0})
    await kv.update("data/a/1", data={"n": 1})
    await kv.update("data/a/1/1", data={"n": 2})
    await kv.delete("metadata/a/1")
    assert (await kv.read("data/a"))["data"] == {"n": 0}
    assert (await kv.read("data/a/1/1"))["data"] == {"n": 2}


async def test_reading_costs_two_loads_and_writing_two_puts(kv):
    await kv.update("data/db", data={})
    kv.store.loads.clear()
    kv.store.writes.clear()
    await kv.read("data/db")
    assert kv.store.loads == ["meta/db", "ver/db/1"]
    await kv.update("data/db", data={})
    assert sorted(kv.store.writes) == ["meta/db", "ver/db/2"]


@pytest.mark.parametrize(
    ("verb", "path", "sentence"),
    [
        ("read", "foo", "use 'bao kv get' for this operation."),
        ("update", "foo", "use 'bao kv put' for this operation."),
        ("patch", "foo", "use 'bao kv patch' for this operation."),
        ("list", "", "use 'bao kv list' for this operation."),
        ("scan", "foo", "use 'bao kv scan' for this operation."),
        ("read", "data", "Non-listing operations on the root of a K/V v2 mount are not supported."),
        ("delete", "metadata", "Non-listing operations on the root of a K/V v2 mount are not supported."),
    ],
)
async def test_a_path_without_its_family_is_explained(kv, verb, path, sentence):
    with pytest.raises(WrongFamily) as error:
        await kv.call(Verb(verb), path, {"any": "thing"})
    assert error.value.warnings[0].endswith(sentence)
