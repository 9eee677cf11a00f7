"""KV version 2: settings, custom metadata, names."""

import pytest
from broker_plugins.engines.kv.errors import MetadataCasMismatch, MetadataCasRequired

from broker.plugin import InvalidRequest, NotFound, Raw, UnsupportedOperation


async def test_a_mount_begins_with_nothing_set_and_keeps_what_is_not_given(kv):
    nothing = {
        "cas_required": False,
        "delete_version_after": "0s",
        "max_versions": 0,
        "metadata_cas_required": False,
    }
    assert await kv.read("config") == nothing
    await kv.update("config", max_versions="3", delete_version_after="3h30m")
    await kv.update("config", cas_required="true")
    assert await kv.read("config") == {
        **nothing,
        "cas_required": True,
        "delete_version_after": "3h30m0s",
        "max_versions": 3,
    }
    await kv.update("config", max_versions=None, delete_version_after=None, cas_required=None)
    assert await kv.read("config") == nothing


@pytest.mark.parametrize("path", ["config", "metadata/db"])
@pytest.mark.parametrize(
    "body",
    [
        {"max_versions": -1},
        {"max_versions": 2**32},
        {"max_versions": "x"},
        {"delete_version_after": "x"},
        {"delete_version_after": []},
        {"cas_required": "maybe"},
        {"unheard_of": 1},
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused(kv, path, body):
    with pytest.raises(InvalidRequest):
        await kv.update(path, **body)
    assert kv.store.entries == {}


async def test_a_secret_may_have_settings_before_contents(kv):
    await kv.update("metadata/db", max_versions=3, delete_version_after="1500ms")
    assert await kv.read("metadata/db") == {
        "cas_required": False,
        "created_time": "2023-11-14T22:13:20Z",
        "current_metadata_version": 1,
        "current_version": 0,
        "custom_metadata": None,
        "delete_version_after": "1s",
        "max_versions": 3,
        "metadata_cas_required": False,
        "oldest_version": 0,
        "updated_time": "2023-11-14T22:13:20Z",
        "versions": {},
    }
    with pytest.raises(NotFound):
        await kv.read("data/db")
    assert (await kv.list("metadata"))["keys"] == ["db"]


async def test_writing_no_setting_changes_nothing(kv):
    await kv.update("metadata/db")
    await kv.update("metadata/db", metadata_cas=0)
    assert kv.store.entries == {}
    await kv.update("data/db", data={})
    before = dict(kv.store.entries)
    await kv.update("metadata/db")
    await kv.patch("metadata/db", metadata_cas=9)
    assert kv.store.entries == before


async def test_a_lifetime_below_zero_is_for_the_mount_only(kv):
    with pytest.raises(InvalidRequest, match='field "delete_version_after": expected at least 0'):
        await kv.update("metadata/db", delete_version_after="-1s")


async def test_custom_metadata_travels_with_every_answer(kv):
    await kv.update("metadata/db", custom_metadata={"owner": "team", "tier": 1, "live": True})
    custom = {"owner": "team", "tier": "1", "live": "1"}
    assert (await kv.update("data/db", data={}))["custom_metadata"] == custom
    assert (await kv.read("data/db"))["metadata"]["custom_metadata"] == custom
    await kv.update("metadata/db", custom_metadata={"a": "b"})
    await kv.patch("metadata/db", custom_metadata={"c": "d", "a": None})
    assert (await kv.read("metadata/db"))["custom_metadata"] == {"c": "d"}
    await kv.patch("metadata/db", custom_metadata=None)
    assert (await kv.read("metadata/db"))["custom_metadata"] is None


@pytest.mark.parametrize(
    ("custom", "fault"),
    [
        ({"k" * 129: "v"}, "is 129 but must be 0 < len(key) <= 128"),
        ({"k": "v" * 513}, 'length of value for key "k" is 513 but must be 0 < len(value) <= 512'),
        ({"": "v"}, 'length of key "" is 0 but must be 0 < len(key) <= 128'),
        ({"k": ""}, 'length of value for key "k" is 0 but must be 0 < len(value) <= 512'),
        ({"k": None}, 'length of value for key "k" is 0'),
        ({"é" * 65: "v"}, "is 130 but must be"),
        ({str(n): "v" for n in range(65)}, "payload must contain at most 64 keys, provided 65"),
        ({"k\0": "v"}, "contains unprintable characters"),
        ({"k": "\u200b"}, 'value for key "k" contains unprintable characters'),
        ({"k": {}}, 'value for key "k" must be a string'),
        ({"k": []}, 'value for key "k" must be a string'),
    ],
)
async def test_custom_metadata_has_limits(kv, custom, fault):
    with pytest.raises(InvalidRequest) as error:
        await kv.update("metadata/db", custom_metadata=custom)
    assert fault in str(error.value)
    assert str(error.value).startswith(
        ("1 error occurred:\n\t* custom_metadata validation failed: ", "custom_metadata")
    )
    assert kv.store.entries == {}


async def test_every_fault_is_named_at_once(kv):
    with pytest.raises(InvalidRequest, match=r"^3 errors occurred:"):
        await kv.update("metadata/db", custom_metadata={"k" * 129: "v" * 513, "j": ""})


async def test_the_largest_custom_metadata_is_taken(kv):
    custom = {f"{n:0128d}": "v" * 512 for n in range(64)}
    await kv.update("metadata/db", custom_metadata=custom)
    assert (await kv.read("metadata/db"))["custom_metadata"] == custom
    with pytest.raises(InvalidRequest, match="provided 65"):
        await kv.patch("metadata/db", custom_metadata={"one more": "v"})


async def test_patching_settings_needs_a_secret_and_null_resets(kv):
    assert await kv.patch("metadata/none", max_versions=1) == Raw(b"", "application/json", status=404)
    await kv.update("metadata/db", max_versions=4, cas_required=True, delete_version_after="1h")
    await kv.patch("metadata/db", max_versions=None, cas_required=None, delete_version_after=None)
    meta = await kv.read("metadata/db")
    assert (meta["max_versions"], meta["cas_required"], meta["delete_version_after"]) == (0, False, "1h0m0s")


async def test_settings_have_a_check_and_set_of_their_own(kv):
    with pytest.raises(MetadataCasMismatch, match="metadata_cas must be 0 when creating new metadata"):
        await kv.update("metadata/db", max_versions=3, metadata_cas=1)
    await kv.update("metadata/db", max_versions=3, metadata_cas=0)
    with pytest.raises(MetadataCasMismatch, match="does not match the current version"):
        await kv.update("metadata/db", max_versions=4, metadata_cas=0)
    await kv.update("metadata/db", metadata_cas_required=True, metadata_cas=1)
    for call in (kv.update, kv.patch):
        with pytest.raises(
            MetadataCasRequired, match="metadata check-and-set parameter required for this call"
        ):
            await call("metadata/db", max_versions=5)
    await kv.patch("metadata/db", max_versions=6, metadata_cas=2)
    assert (await kv.read("metadata/db"))["current_metadata_version"] == 3
    await kv.update("data/db", data={})
    assert (await kv.read("metadata/db"))["current_metadata_version"] == 3


async def test_lifting_what_the_mount_demands_is_answered_with_a_warning(kv):
    await kv.update("config", cas_required=True, metadata_cas_required=True)
    await kv.update("metadata/db", cas_required=False, metadata_cas_required=False, metadata_cas=0)
    ignored = "set to false, but is mandated by backend config. This value will be ignored."
    assert kv.last.warnings == [f'"cas_required" {ignored}', f'"metadata_cas_required" {ignored}']


async def test_deleting_metadata_removes_every_trace(kv):
    for _ in range(3):
        await kv.update("data/db", data={"a": 1})
    await kv.delete("metadata/db")
    assert kv.store.entries == {}
    await kv.delete("metadata/db")
    assert (await kv.update("data/db", data={}, options={"cas": 0}))["version"] == 1


async def test_names_are_listed_folder_by_folder(kv):
    for name in ("f/a", "f/b", "f", "f/c/d", "g", "f-x/a"):
        await kv.update(f"data/{name}", data={})
    for root in ("metadata", "metadata/"):
        assert (await kv.list(root))["keys"] == ["f", "f-x/", "f/", "g"]
    for path in ("metadata/f", "metadata/f/"):
        assert (await kv.list(path))["keys"] == ["a", "b", "c/"]
    assert (await kv.list("metadata", after="f", limit="2"))["keys"] == ["f-x/", "f/"]
    assert (await kv.list("metadata", limit=-1))["keys"] == ["f", "f-x/", "f/", "g"]
    for path, query in (("metadata/g", {}), ("metadata/none", {}), ("metadata", {"after": "zzz"})):
        with pytest.raises(NotFound):
            await kv.list(path, **query)
    with pytest.raises(UnsupportedOperation):
        await kv.list("data/f")


async def test_names_are_scanned_through_all_folders(kv):
    for name in ("f/a", "f", "f/c/d", "g"):
        await kv.update(f"data/{name}", data={})
    assert await kv.scan("metadata") == {"keys": ["f", "f/a", "f/c/d", "g"]}
    assert await kv.scan("metadata/f") == {"keys": ["a", "c/d"]}
    assert await kv.scan("metadata", after="f", limit=2) == {"keys": ["f/a", "f/c/d"]}
    assert await kv.scan("metadata/none") == {}


async def test_names_can_come_with_their_metadata(kv):
    await kv.update("data/f/a", data={})
    await kv.update("data/g", data={})
    listed = await kv.list("detailed-metadata")
    assert listed["keys"] == ["f/", "g"]
    assert listed["key_info"] == {"f/": {}, "g": await kv.read("metadata/g")}
    scanned = await kv.scan("detailed-metadata/")
    assert scanned["key_info"]["f/a"] == await kv.read("metadata/f/a")
    assert await kv.scan("detailed-metadata/none") == {}
    with pytest.raises(NotFound):
        await kv.list("detailed-metadata/none")
