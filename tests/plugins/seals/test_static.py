import base64
import os

import pytest
from broker_plugins.seals import static
from broker_plugins.seals.static.keys import read_key
from broker_plugins.seals.static.seal import StaticSeal

from broker.plugin.errors import Tampered, WrongSetting
from broker.plugin.seal import SealKind
from broker.plugin.testing.seal import ROOT_KEY, SealContract

KEY = bytes(range(100, 132))
OLD = bytes(range(200, 232))
HEX = KEY.hex()
BASE64 = base64.b64encode(KEY).decode()


def build(**settings):
    return StaticSeal.build({"current_key_id": "new", "current_key": HEX, **settings})


def key_file(folder, content, mode=0o600):
    path = folder / "seal.key"
    path.write_bytes(content)
    path.chmod(mode)
    return f"file://{path}"


class TestStatic(SealContract):
    @pytest.fixture
    def seal(self):
        return build(previous_key_id="old", previous_key=OLD.hex())


def test_it_is_offered_under_its_name_with_the_variables_of_openbao():
    [offered] = static.register_seals()
    assert offered.name == "static"
    assert offered.build({"current_key_id": "a", "current_key": HEX}).kind is SealKind.AUTO
    assert offered.environment["current_key"] == (
        "BROKER_STATIC_SEAL_CURRENT_KEY",
        "BAO_STATIC_SEAL_CURRENT_KEY",
    )
    assert set(offered.environment) == {"current_key_id", "current_key", "previous_key_id", "previous_key"}


@pytest.mark.parametrize("given", [HEX, HEX.upper(), BASE64, BASE64.rstrip("=")])
def test_a_key_is_hex_or_base64_where_it_stands(given):
    assert read_key("current_key", given).reveal() == KEY


@pytest.mark.parametrize(
    "content", [KEY, HEX.encode(), BASE64.encode(), f"{HEX}\n".encode(), f"{BASE64}\r\n".encode()]
)
def test_a_key_is_read_from_a_file_or_a_variable(tmp_path, content):
    assert read_key("current_key", key_file(tmp_path, content)).reveal() == KEY
    text = content.decode("latin-1")
    if text.isascii():
        assert read_key("current_key", "env://SEAL", {"SEAL": text}).reveal() == KEY


@pytest.mark.parametrize(
    "given",
    [
        "",
        "zz",
        HEX[:-2],
        HEX + "00",
        BASE64[:-4],
        "=" + BASE64,
        12,
        None,
        ["a"],
        base64.b64encode(KEY * 2).decode(),
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(given):
    with pytest.raises(WrongSetting, match="expected current_key to be a key of 32 bytes") as caught:
        read_key("current_key", given)
    assert caught.value.setting == "current_key"
    assert len(str(given)) < 10 or str(given) not in str(caught.value)


def test_places_without_a_key_are_named_and_their_content_is_not(tmp_path):
    short = key_file(tmp_path, b"sixteen letters!")
    with pytest.raises(WrongSetting, match=r"expected the file .*seal\.key to hold 32 bytes") as caught:
        read_key("current_key", short)
    assert "sixteen" not in str(caught.value)
    with pytest.raises(WrongSetting, match="expected the environment variable SEAL to hold the current_key"):
        read_key("current_key", "env://SEAL", {})
    with pytest.raises(
        WrongSetting, match="expected the environment variable SEAL to hold 32 bytes"
    ) as caught:
        read_key("current_key", "env://SEAL", {"SEAL": "hunter2"})
    assert "hunter2" not in str(caught.value)
    for wrong, reason in (("missing", "No such file"), ("", "Is a directory"), ("a\0b", "no such name")):
        with pytest.raises(WrongSetting, match=reason):
            read_key("current_key", f"file://{tmp_path}/{wrong}")


def test_a_pipe_is_no_key_file_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WrongSetting, match="regular file"):
        read_key("current_key", f"file://{tmp_path}/pipe")


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o601])
def test_a_key_file_that_others_reach_is_refused(tmp_path, mode):
    with pytest.raises(WrongSetting, match=rf"closed to others \(chmod o= .*\), its mode is {mode:04o}"):
        read_key("current_key", key_file(tmp_path, KEY, mode))


def test_a_key_file_may_be_open_to_its_group(tmp_path):
    assert read_key("current_key", key_file(tmp_path, KEY, 0o440)).reveal() == KEY


@pytest.mark.parametrize(
    ("settings", "setting", "text"),
    [
        ({}, "current_key", "needs current_key"),
        ({"current_key": HEX}, "current_key_id", "needs current_key_id"),
        ({"current_key_id": "a"}, "current_key", "needs current_key"),
        ({"current_key_id": "a" * 256, "current_key": HEX}, "current_key_id", "1 to 255"),
        ({"current_key_id": "a\nb", "current_key": HEX}, "current_key_id", "printable"),
        ({"current_key_id": 7, "current_key": HEX}, "current_key_id", "a name"),
        ({"current_key_id": "a", "current_key": HEX, "curent_key": HEX}, "curent_key", "no setting"),
        ({"current_key_id": "a", "current_key": HEX, "previous_key_id": "b"}, "previous_key_id", "together"),
        ({"current_key_id": "a", "current_key": HEX, "previous_key": HEX}, "previous_key", "together"),
        (
            {"current_key_id": "a", "current_key": HEX, "previous_key_id": "a", "previous_key": OLD.hex()},
            "previous_key_id",
            "another id",
        ),
        (
            {"current_key_id": "a", "current_key": HEX, "previous_key_id": "b", "previous_key": BASE64},
            "previous_key_id",
            "another one than the current one",
        ),
    ],
)
def test_a_mistake_names_its_setting(settings, setting, text):
    with pytest.raises(WrongSetting, match=text) as caught:
        StaticSeal.build(settings)
    assert caught.value.setting == setting
    assert HEX not in str(caught.value)


async def test_the_previous_key_opens_and_what_it_opens_is_to_be_wrapped_anew():
    wrapped = await build(current_key_id="old", current_key=OLD.hex()).wrap(ROOT_KEY, None)
    both = build(previous_key_id="old", previous_key=OLD.hex())
    assert (await both.unwrap(wrapped, None)).reveal() == ROOT_KEY.reveal()
    assert both.stale(wrapped)
    assert not build().stale(await both.wrap(ROOT_KEY, None)), "the current key wraps"


async def test_a_key_that_is_missing_is_told_from_one_that_was_swapped():
    wrapped = await build().wrap(ROOT_KEY, None)
    with pytest.raises(Tampered, match='wrapped under the key id "new", the configuration has "other"'):
        await build(current_key_id="other").unwrap(wrapped, None)
    with pytest.raises(Tampered, match='the key that the configuration calls "new" is another one'):
        await build(current_key=OLD.hex()).unwrap(wrapped, None)


def test_no_repr_shows_a_key():
    seal = build(previous_key_id="old", previous_key=OLD.hex())
    for shown in (repr(seal), str(seal), str(vars(seal))):
        for key in (KEY, OLD):
            assert key.hex() not in shown and repr(key)[2:-1] not in shown
