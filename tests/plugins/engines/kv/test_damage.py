"""KV with entries that do not open: they stand in nobody's way, not even in their own."""

import pytest

from broker.plugin import NotFound, Tampered
from broker.plugin.testing.memory import MemoryView


@pytest.fixture
async def spoilt(kv):
    """Two secrets of three versions; the metadata of one and the second version of the other do not open."""
    for name in ("meta", "version"):
        for number in (1, 2, 3):
            await kv.update(f"data/{name}", data={"n": number})
    await kv.update("data/meta/below", data={"n": 0})
    kv.store.damaged |= {"meta/meta", "ver/version/2"}
    return kv


async def test_damaged_metadata_fail_every_use_but_their_removal_and_that_removes_all(spoilt):
    for use in (spoilt.read("data/meta"), spoilt.read("metadata/meta"), spoilt.update("data/meta", data={})):
        with pytest.raises(Tampered, match="meta/meta"):
            await use
    assert (await spoilt.list("metadata"))["keys"] == ["meta", "meta/", "version"]
    await spoilt.delete("metadata/meta")
    assert [path for path in spoilt.store.entries if "/meta" in path] == [
        "ver/meta/below/1",
        "meta/meta/below",
    ]
    with pytest.raises(NotFound):
        await spoilt.read("data/meta")
    assert (await spoilt.update("data/meta", data={"n": "anew"}))["version"] == 1
    assert (await spoilt.read("data/meta/below"))["data"] == {"n": 0}


async def test_a_damaged_version_fails_alone(spoilt):
    with pytest.raises(Tampered, match="ver/version/2"):
        await spoilt.read("data/version", version=2)
    for number in (1, 3):
        assert (await spoilt.read("data/version", version=number))["data"] == {"n": number}
    await spoilt.update("delete/version", versions=[2])
    await spoilt.update("undelete/version", versions=[2])
    assert (await spoilt.update("data/version", data={"n": 4}))["version"] == 4


@pytest.mark.parametrize("end", ["destroy", "prune", "delete"])
async def test_a_damaged_version_goes_like_any_other(spoilt, end):
    if end == "destroy":
        await spoilt.update("destroy/version", versions=[2])
    elif end == "prune":
        await spoilt.update("metadata/version", max_versions=1)
        await spoilt.update("data/version", data={"n": 4})
    else:
        await spoilt.delete("metadata/version")
    assert "ver/version/2" not in spoilt.store.entries


async def test_a_detailed_listing_shows_what_it_can_and_says_what_it_cannot(spoilt):
    shown = await spoilt.list("detailed-metadata")
    assert shown["keys"] == ["meta", "meta/", "version"]
    assert shown["key_info"]["meta"] == {}
    assert shown["key_info"]["version"]["current_version"] == 3
    assert ["meta/meta" in warning for warning in spoilt.last.warnings] == [True]


async def test_damaged_settings_of_the_mount_are_written_anew_with_a_warning(kv):
    await kv.update("config", max_versions=3, cas_required=True)
    kv.store.damaged.add("config")
    with pytest.raises(Tampered):
        await kv.read("config")
    await kv.update("config", max_versions=5)
    assert ["as on a new mount" in warning for warning in kv.last.warnings] == [True]
    settings = await kv.read("config")
    assert (settings["max_versions"], settings["cas_required"]) == (5, False)


async def test_a_damaged_plain_entry_is_deleted_or_written_over(plain):
    for name in ("deleted", "written"):
        await plain.update(name, n=1)
        plain.store.damaged.add(f"plain/{name}")
        with pytest.raises(Tampered):
            await plain.read(name)
    await plain.delete("deleted")
    with pytest.raises(NotFound):
        await plain.read("deleted")
    await plain.update("written", n=2)
    assert plain.last.verb.value == "update"
    assert (await plain.read("written")).data == {"n": 2}


async def test_an_upgrade_passes_a_damaged_entry_and_marks_its_version_as_destroyed(plain, kv):
    for name in ("bad", "good"):
        await plain.update(name, n=1)
    kv.store = plain.store
    kv.store.damaged.add("plain/bad")
    view = MemoryView(transaction := kv.store.transaction())
    assert await kv.engine.adopt(view, now=kv.clock.now) is False
    transaction.commit()
    assert (await kv.read("data/good"))["data"] == {"n": 1}
    with pytest.raises(NotFound):
        await kv.read("data/bad")
    assert (await kv.read("metadata/bad"))["versions"]["1"]["destroyed"] is True
    assert (await kv.update("data/bad", data={"n": 2}))["version"] == 2
