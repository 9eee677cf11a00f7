"""Slashes around and within a path mean nothing, and ``-mount`` alone is a path, as on the peer's command line."""

import pytest


@pytest.fixture(scope="module")
def filled(dev):
    for line in (
        "secrets enable -path=slashes -version=2 kv",
        "kv put slashes/app/db a=1",
        "write cubbyhole/slashes x=1",
        "policy write slashes -",
        "auth enable -path=slashes userpass",
        "namespace create slashed",
    ):
        assert dev.broker(*line.split(), stdin='path "x" { capabilities = ["read"] }').code == 0
    return dev


SPELLINGS = [
    "read /cubbyhole/slashes/",
    "read cubbyhole//slashes",
    "write /cubbyhole/other/ x=1",
    "patch /slashes/nothing/ x=1",
    "delete cubbyhole/none/",
    "list /cubbyhole/",
    "list /cubbyhole/none/",
    "scan //slashes/metadata/",
    "kv list /slashes/",
    "kv list -mount=/slashes/ /app/",
    "kv get -field=a slashes//app/db/",
    "kv get -mount=/slashes/ -field=a /app/db/",
    "kv delete -mount=slashes /none/",
    "kv metadata get /slashes/none/",
    "kv metadata delete slashes//none",
    "secrets tune -description=x /slashes//",
    "secrets disable /never/",
    "auth tune -description=x /slashes/",
    "auth disable /never/",
    "lease revoke -prefix auth/slashes/login/",
    "lease revoke -prefix -sync /auth/slashes/login//",
    "policy read /slashes/",
    "policy read /none",
    "policy delete /none/",
    "namespace lookup -field=path /slashed/",
    "token capabilities /slashes/data/app/",
    "token revoke -mode=path /auth/slashes/login/",
    # The mount alone is a place to list, and no secret.
    "kv list -mount=slashes",
    "kv scan -mount=slashes",
    "kv list -mount=cubbyhole -format=json",
    "kv list",
    "kv get -mount=slashes",
    "kv put -mount=slashes a=1",
    "kv delete -mount=slashes",
    "kv undelete -mount=slashes -versions=1",
    "kv metadata get -mount=slashes",
]


@pytest.mark.peer
@pytest.mark.parametrize("line", SPELLINGS)
def test_a_path_however_spelled_means_what_it_means_to_the_peer(filled, inside, line):
    mine = inside(filled, *line.split())
    # Once more by the peer: nothing here leaves a trace that its answer would show.
    words = line.split()
    theirs = filled.bao(*words)
    if line.startswith("namespace lookup"):
        assert (mine.code, mine.out) == (0, "slashed/")
        return
    assert (mine.code, mine.out) == (theirs.code, theirs.out)
    assert mine.err.splitlines()[:4] == theirs.err.splitlines()[:4]


def test_a_mount_and_a_method_may_be_named_with_slashes(dev, inside):
    for line in (
        "secrets enable -path=/spelled/ kv",
        "secrets move /spelled/ /moved//",
        "secrets disable /moved/",
        "auth enable -path=/spelled/ userpass",
        "auth disable /spelled/",
        "namespace create /spelled/",
        "namespace delete /spelled/",
    ):
        assert inside(dev, *line.split()).code == 0, line
    assert "spelled/" not in inside(dev, "secrets", "list").out
    assert "moved/" not in inside(dev, "secrets", "list").out


def test_our_own_server_sees_the_plain_path(dev, inside, monkeypatch):
    """What is sent, whatever server it is sent to."""
    from broker.client import Client

    sent = []
    asked = Client.request
    monkeypatch.setattr(
        Client,
        "request",
        lambda self, method, path, **more: (sent.append(path), asked(self, method, path, **more))[1],
    )
    inside(dev, "lease", "revoke", "-prefix", "/auth/token/none/")
    inside(dev, "list", "cubbyhole//")
    assert sent == ["sys/leases/revoke-prefix/auth/token/none", "cubbyhole"]
