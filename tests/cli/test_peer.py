"""The same commands given to ``broker`` and to ``bao``: same exit codes, same words.

Each side works in a namespace of its own, so both start from nothing. Ids and times are masked, and so is the width
of columns, which depends on them.
"""

import json
import re

import pytest

MASKS = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| \+0000 UTC)"), "TIME"),
    (re.compile(r"^Waiting for terminal status.*\n", re.MULTILINE), ""),
    (re.compile(r"\bb\.[\w-]{60,}(\.\w+)?"), "BATCH"),
    (re.compile(r"\b(ours|peer)-"), "SIDE-"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b(?:hv)?s\.[A-Za-z0-9]{24,}(?:\.\w+)?"), "TOKEN"),
    (
        re.compile(r"\b(?:auth_)?(kv|cubbyhole|identity|system|token|userpass|ns_\w+)_[0-9a-f]{8}\b"),
        r"ACCESSOR \1",
    ),
    (re.compile(r"(accessor:?\s+)\S+"), r"\1ACCESSOR"),
    (re.compile(r"^(id|uuid)\s+\S+$", re.MULTILINE), r"\1 ID"),
    (re.compile(r"^creation_time\s+\d+$", re.MULTILINE), "creation_time N"),
    (re.compile(r"^ttl\s+\S+$", re.MULTILINE), "ttl N"),
    (re.compile(r"-{2,}"), "--"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
    (re.compile(r" {2,}"), "  "),
    (re.compile(r"={2,}"), "=="),
]
V2 = "secrets enable -path=secret -version=2 kv"
V1 = "secrets enable -path=old -version=1 kv"

SCRIPTS = {
    "reading and writing": [
        "write cubbyhole/a x=1 y=two",
        "read cubbyhole/a",
        "read -field=y cubbyhole/a",
        "read -field=none cubbyhole/a",
        "list cubbyhole",
        "list cubbyhole/none",
        "delete cubbyhole/a",
        "delete cubbyhole/a",
        "read cubbyhole/a",
        "read nowhere/at/all",
        "patch cubbyhole/a x=1",
        "write cubbyhole/a",
        "write -force cubbyhole/a",
        "scan cubbyhole",
    ],
    "usage": [
        "read",
        "read -zz foo",
        "read -format=xx foo",
        "kv put secret/foo",
        "kv get",
        "policy write one",
        "token revoke",
    ],
    "versioned secrets": [
        V2,
        "kv put secret/foo a=1 b=2",
        "kv put -mount=secret foo a=1 b=3",
        "kv get secret/foo",
        "kv get -mount=secret foo",
        "kv get -field=a secret/foo",
        "kv get -version=1 secret/foo",
        "kv get secret/none",
        "kv get -field=none secret/foo",
        "kv patch secret/foo c=3",
        "kv patch -method=rw secret/foo d=4",
        "kv get secret/foo",
        "kv put -cas=1 secret/foo a=1",
        "kv delete secret/foo",
        "kv get secret/foo",
        "kv undelete -versions=4 secret/foo",
        "kv destroy -versions=1,2 secret/foo",
        "kv undelete secret/foo",
        "kv metadata get secret/foo",
        "kv metadata put -max-versions=5 -custom-metadata=x=y secret/foo",
        "kv metadata patch -custom-metadata=x=z secret/foo",
        "kv metadata get secret/foo",
        "kv rollback -version=3 secret/foo",
        "kv list secret",
        "kv list secret/none",
        "kv metadata delete secret/foo",
        "kv metadata get secret/foo",
    ],
    "unversioned secrets": [
        V1,
        "kv put old/a x=1",
        "kv get old/a",
        "kv get old/none",
        "kv patch old/a y=1",
        "kv list old",
        "kv undelete -versions=1 old/a",
        "kv destroy -versions=1 old/a",
        "kv metadata get old/a",
        "kv delete old/a",
        "kv enable-versioning old",
    ],
    "secrets engines": [
        V2,
        "secrets enable -path=secret kv",
        "secrets enable no-such-engine",
        "secrets list",
        "secrets tune -default-lease-ttl=1h -description=mine secret",
        "secrets list",
        "secrets move secret moved",
        "secrets disable moved",
        "secrets disable moved",
        "secrets tune nothing",
    ],
    "auth methods": [
        "auth enable userpass",
        "auth enable -path=people -description=them userpass",
        "auth list",
        "auth tune -default-lease-ttl=1h people",
        "auth disable people",
        "auth disable people",
        "write auth/userpass/users/bob password=pw",
        "login -method=userpass -no-store -field=token_renewable username=bob password=pw",
        "login -method=userpass -no-store username=bob password=wrong",
    ],
    "policies": [
        "policy write reader reader.hcl",
        "policy write broken broken.hcl",
        "policy write missing missing.hcl",
        "policy read reader",
        "policy read missing",
        "policy list",
        "policy delete reader",
        "policy list -format=json",
    ],
    "tokens": [
        "token create -ttl=1h -policy=default",
        "token create -ttl=1h -metadata=a=b -display-name=x -use-limit=3",
        "token lookup",
        "token lookup -accessor nope",
        "token renew",
        "token revoke -accessor nope",
        "token capabilities secret/foo",
        "token create -type=batch -policy=default -ttl=1h",
        "token create -wrap-ttl=60s",
        "token create -policy=default -period=1h",
    ],
    "leases": [
        "lease renew nope",
        "lease revoke nope",
        "lease revoke -sync nope",
        "lease revoke -prefix nope",
        "lease revoke -force nope",
    ],
    "namespaces": [
        "namespace list",
        "namespace create -custom-metadata=a=b child",
        "namespace list",
        "namespace lookup child",
        "namespace lookup missing",
        "namespace delete child",
    ],
    "help from the server": ["path-help cubbyhole", "path-help sys/mounts"],
}


def masked(text: str) -> str:
    text = text.replace("OpenBao", "Broker").replace("bao ", "broker ").replace("BAO_", "BROKER_")
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text.strip()


@pytest.fixture
def sides(dev, inside, request):
    """Both command lines, each in a namespace of its own."""
    (dev.home / "reader.hcl").write_text('path "secret/*" { capabilities = ["read"] }\n')
    (dev.home / "broken.hcl").write_text("path  secret/* {}}")
    name = re.sub(
        r"\W+", "-", request.node.callspec.id if hasattr(request.node, "callspec") else request.node.name
    )
    for side in ("ours", "peer"):
        assert inside(dev, "namespace", "create", f"{side}-{name}").code == 0
    return (
        lambda *words, **more: inside(dev, *words, BROKER_NAMESPACE=f"ours-{name}", **more),
        lambda *words, **more: dev.bao(*words, BAO_NAMESPACE=f"peer-{name}", **more),
    )


@pytest.mark.peer
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda name: name.replace(" ", "-"))
def test_the_same_commands_have_the_same_outcome(sides, script):
    ours, peers = sides
    for line in SCRIPTS[script]:
        mine, theirs = ours(*line.split()), peers(*line.split())
        assert mine.code == theirs.code, f"{line}: {mine.err}"
        assert masked(mine.out) == masked(theirs.out), line
        assert masked(mine.err).splitlines()[:1] == masked(theirs.err).splitlines()[:1], line


@pytest.mark.peer
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_structured_answers_hold_the_same_fields(sides, form):
    import yaml

    ours, peers = sides
    for side in (ours, peers):
        assert side(*V2.split()).code == 0
        assert side("kv", "put", "secret/foo", "a=1").code == 0
    for line in (
        "kv get secret/foo",
        "kv metadata get secret/foo",
        "secrets list",
        "policy list",
        "token lookup",
    ):
        words, rest = (line.split(), []) if "/" not in line else (line.split()[:-1], line.split()[-1:])
        mine, theirs = (side(*words, f"-format={form}", *rest) for side in (ours, peers))
        assert mine.code == theirs.code == 0
        assert _shape(yaml.safe_load(mine.out)) == _shape(yaml.safe_load(theirs.out)), line


def _shape(value):
    """The names and types; the values differ by side."""
    if isinstance(value, dict):
        # Counted by the peer's own command line, not told by the server.
        return {key: _shape(item) for key, item in value.items() if key != "deprecation_status"}
    return type(value).__name__ if not isinstance(value, list) else [_shape(item) for item in value]


@pytest.mark.peer
def test_an_empty_listing_is_an_empty_object_with_exit_code_2(sides):
    ours, peers = sides
    mine, theirs = (side("list", "-format=json", "cubbyhole/none") for side in (ours, peers))
    assert (mine.code, json.loads(mine.out)) == (theirs.code, json.loads(theirs.out)) == (2, {})


@pytest.mark.peer
def test_a_wrapped_secret_unwraps_once(sides):
    ours, _ = sides
    ours(*V2.split())
    ours("kv", "put", "secret/foo", "a=1")
    token = ours("kv", "get", "-wrap-ttl=60s", "-field=wrapping_token", "secret/foo").out
    shown = ours("unwrap", "-format=json", "-", stdin=token)
    assert shown.json["data"]["data"] == {"a": "1"}
    again = ours("unwrap", "-", stdin=token)
    assert again.code == 2
    assert "wrapping token is not valid or does not exist" in again.err
