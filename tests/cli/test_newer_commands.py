"""Commands and forms that the peer's command line has: the same words, the same codes."""

import json

import pytest

from broker.cli.flags import Flag, UsageError, parse

TTL = (Flag("ttl", "", "duration"),)


@pytest.fixture(scope="module")
def spaces(dev):
    for line in (
        "namespace create spaces",
        "namespace create -namespace=spaces -custom-metadata=a=b one",
        "namespace create -namespace=spaces two",
        "namespace create -namespace=spaces/one inner",
    ):
        assert dev.broker(*line.split()).code == 0
    return dev


@pytest.mark.peer
@pytest.mark.parametrize(
    "line",
    ["namespace list -detailed", "namespace scan", "list -detailed sys/namespaces", "namespace patch one"],
)
def test_namespaces_are_shown_as_by_the_peer(spaces, inside, line):
    words = line.split()
    given = [*words[:2], "-namespace=spaces", *words[2:]]
    mine, theirs = inside(spaces, *given), spaces.bao(*given)
    assert (mine.code, mine.out, mine.err) == (theirs.code, theirs.out, theirs.err)


def test_a_scan_of_namespaces_goes_all_the_way_down(spaces, inside):
    assert set(inside(spaces, "namespace", "scan", "-namespace=spaces").out.split()[2:]) == {
        "one/",
        "two/",
        "one/inner/",
    }
    known = inside(spaces, "namespace", "scan", "-namespace=spaces", "-detailed", "-format=json").json
    assert known["one/"]["custom_metadata"] == {"a": "b"}
    empty = inside(spaces, "namespace", "scan", "-namespace=spaces/two")
    assert (empty.code, empty.err) == (2, "No namespaces found\n")


def test_a_patch_of_a_namespace_adds_and_removes_and_keeps_the_rest(spaces, inside):
    inside(spaces, "namespace", "create", "-custom-metadata=keep=1", "-custom-metadata=go=1", "patched")
    words = (
        "namespace",
        "patch",
        "-custom-metadata=new=1",
        "-remove-custom-metadata=go",
        "-field=custom_metadata",
    )
    changed = inside(spaces, *words, "patched")
    assert json.loads(changed.out) == {"keep": "1", "new": "1"}


@pytest.mark.peer
def test_a_plugin_is_told_about_and_one_that_is_not_there_is_missed(dev, inside):
    assert inside(dev, "plugin", "info", "-field=name", "auth", "approle").out == "approle"
    mine, theirs = (side("plugin", "info", "auth", "nope") for side in (lambda *w: inside(dev, *w), dev.bao))
    assert (mine.code, mine.err) == (theirs.code, theirs.err)
    assert "sha256" in inside(dev, "plugin", "info", "auth", "approle").out


def test_an_auth_method_moves_with_or_without_its_prefix(dev, inside):
    assert inside(dev, "auth", "enable", "-path=first", "userpass").code == 0
    moved = inside(dev, "auth", "move", "first", "second")
    assert moved.code == 0
    assert moved.out.startswith("Started moving auth method auth/first/ to auth/second/, with migration ID ")
    assert inside(dev, "auth", "move", "auth/second/", "auth/third").code == 0
    assert "third/" in inside(dev, "auth", "list").out
    assert inside(dev, "auth", "move", "auth/second/", "auth/third").code == 2


@pytest.mark.peer
def test_a_policy_without_text_is_none(dev, inside):
    for name in ("root", "missing"):
        mine, theirs = inside(dev, "policy", "read", name), dev.bao("policy", "read", name)
        assert (mine.code, mine.out, mine.err) == (theirs.code, theirs.out, theirs.err)


@pytest.mark.parametrize("text", ["bogus", "1y", "h", "1h30", "--1h", "1 h", "1h\n", "\u0661h"])
def test_a_lifetime_that_is_none_is_told_before_it_is_sent(text):
    with pytest.raises(UsageError, match="for flag -ttl: time: invalid duration"):
        parse([f"-ttl={text}"], TTL)


@pytest.mark.parametrize(
    "text", ["", "0", "90", "1h", "1h30m", "1.5h", "30d", "1w", "-1s", "100ms", "system"]
)
def test_a_lifetime_comes_out_as_it_was_given(text):
    assert parse([f"-ttl={text}"], TTL).text("ttl") == text


@pytest.mark.peer
@pytest.mark.parametrize(
    "line",
    [
        "token create -ttl=bogus",
        "token create -period=bogus",
        "token create -explicit-max-ttl=bogus",
        "token renew -increment=bogus",
        "lease renew -increment=bogus x",
        "kv metadata put -delete-version-after=bogus secret/x",
        "secrets enable -max-lease-ttl=bogus kv",
        "auth tune -default-lease-ttl=bogus x",
        "read -wrap-ttl=bogus sys/mounts",
        "list -format=raw sys",
    ],
)
def test_what_the_command_line_can_refuse_it_refuses_with_code_1(dev, inside, line):
    mine, theirs = inside(dev, *line.split()), dev.bao(*line.split())
    assert (mine.code, mine.err) == (theirs.code, theirs.err)
    assert mine.code == 1


@pytest.mark.peer
def test_a_raw_body_comes_as_it_is(dev, inside):
    mine, theirs = (
        inside(dev, "read", "-format=raw", "sys/seal-status"),
        dev.bao("read", "-format=raw", "sys/seal-status"),
    )
    assert mine.out.strip() == theirs.out.strip()
    missing = inside(dev, "read", "-format=raw", "cubbyhole/nothing-there")
    assert missing.code == dev.bao("read", "-format=raw", "cubbyhole/nothing-there").code == 2
    assert "Code: 404" in missing.err


def test_the_version_is_a_line_and_an_object_only_when_the_flag_asks(dev, inside):
    line = inside(dev, "version").out
    assert inside(dev, "version", BROKER_FORMAT="json").out == line
    assert line == f"Broker v{inside(dev, 'version', '-format=json').json['version']}\n"


@pytest.mark.peer
def test_rotate_keys_begins_tells_and_is_cancelled_in_the_peers_words(unsealed, inside):
    words = ("operator", "rotate-keys")
    idle = inside(unsealed, *words, "-status")
    assert idle.out == unsealed.bao(*words, "-status").out
    none = inside(unsealed, *words, "-nonce=x", "-", stdin="00")
    assert none.code == 1
    assert "No rotation is in progress" in none.err
    assert inside(unsealed, *words, "-init", "-n=2", "-t=2").code == 0
    assert inside(unsealed, *words, "-status").out == unsealed.bao(*words, "-status").out
    assert inside(unsealed, *words, "-cancel").out == "Success! Canceled rotation (if it was started)\n"


def test_a_list_of_policies_may_be_separated_by_commas(monkeypatch, dev, inside):
    from broker.client import Client, Reply

    asked = []
    monkeypatch.setattr(
        Client,
        "request",
        lambda self, method, path, *, body=None, **more: (asked.append(body), Reply(200, {"data": {}}, {}))[
            1
        ],
    )
    assert inside(dev, "policy", "explain", "-policy=a, b", "-policy=c,", "read", "secret/x").code == 0
    assert asked[0]["policies"] == ["a", "b", "c"]
