"""A command takes a flag only if the flag does something there; ``-field`` where the peer's command line has it."""

import pytest

from broker.cli.commands import COMMANDS
from broker.cli.completion import words_after

# As `bao COMMAND -h` has them (2.7.2); a status by another name is ours.
PEERS_FIELDS = {"read", "write", "patch", "delete", "login", "unwrap", "status", "operator status"}
PEERS_FIELDS |= {"token create", "token lookup", "namespace create", "namespace patch", "plugin info"}
PEERS_FIELDS |= {"kv get", "kv put", "kv patch", "kv delete"}
# These answer with fields too, and print one where the peer refuses.
OUR_FIELDS = {"token renew", "token dies-with", "lease lookup", "lease renew", "namespace lookup"}
OUR_FIELDS |= {"kv rollback", "kv metadata get"}
WITHOUT_FIELD = sorted(set(COMMANDS) - PEERS_FIELDS - OUR_FIELDS - {"server"})


@pytest.mark.parametrize("name", WITHOUT_FIELD)
def test_a_command_without_fields_neither_takes_nor_offers_the_flag(name, capsys):
    from broker.cli.main import main

    assert main([*name.split(), "-field=version"]) == 1
    assert capsys.readouterr().err == "flag provided but not defined: -field\n"
    assert "-field=" not in words_after(name)


@pytest.mark.parametrize("name", sorted(PEERS_FIELDS | OUR_FIELDS))
def test_a_command_with_fields_offers_the_flag(name):
    assert "-field=" in words_after(name)


@pytest.fixture(scope="module")
def filled(dev):
    """A server with something to show for each command."""
    for line in (
        "secrets enable -path=fields -version=2 kv",
        "kv put fields/a x=1",
        "kv put fields/a x=2",
        "kv put fields/back x=1",
        "namespace create printed",
        "write cubbyhole/fields x=1",
    ):
        assert dev.broker(*line.split()).code == 0
    return dev


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("status -field=sealed", "false"),
        ("operator status -field=initialized", "true"),
        ("read -field=x cubbyhole/fields", "1"),
        ("write -field=renewable auth/token/create ttl=1h", None),
        ("kv get -field=x fields/a", "2"),
        ("kv put -field=version fields/other y=1", "1"),
        ("kv metadata get -field=current_version fields/a", "2"),
        ("kv rollback -field=version -version=1 fields/back", "2"),
        ("token create -ttl=1h -field=token_renewable", "true"),
        ("token lookup -field=display_name", "token"),
        ("namespace lookup -field=path printed", "printed/"),
    ],
)
def test_the_field_and_nothing_else_is_printed(filled, inside, line, printed):
    done = inside(filled, *line.split())
    if printed is None:
        assert (done.code, done.err) == (1, 'Field "renewable" not present in secret\n')
    else:
        assert (done.code, done.out) == (0, printed)


@pytest.mark.peer
def test_the_status_has_the_same_fields_as_the_peers(dev, inside):
    for field in ("version", "sealed", "t", "ha_enabled", "nothing"):
        mine, theirs = inside(dev, "status", f"-field={field}"), dev.bao("status", f"-field={field}")
        assert (mine.out, mine.err) == (theirs.out, theirs.err), field
    # The peer exits 0 for a field that is not there; a script should notice.
    assert (mine.code, theirs.code) == (1, 0)


@pytest.mark.parametrize(
    "line",
    [
        "secrets list -wrap-ttl=60s",
        "policy read -wrap-ttl=60s default",
        "operator rekey -wrap-ttl=60s",
        "lease revoke -format=json x",
        "secrets enable -format=json kv",
        "print token -namespace=x",
    ],
)
def test_a_flag_that_would_do_nothing_or_lose_the_answer_is_refused(dev, inside, line):
    done = inside(dev, *line.split())
    assert done.code == 1
    assert done.err.startswith("flag provided but not defined: -")


def test_wrapped_answers_are_shown_wherever_wrapping_can_be_asked_for(filled, inside):
    for line in (
        "list cubbyhole",
        "kv list fields",
        "namespace lookup printed",
        "token create",
        "kv get fields/a",
    ):
        words = line.split()
        done = inside(filled, *words[:-1], "-wrap-ttl=60s", words[-1]) if len(words) > 2 else None
        done = done or inside(filled, *words, "-wrap-ttl=60s")
        assert done.code == 0, line
        assert done.out.split()[4] == "wrapping_token:", line


def test_an_accessor_needs_its_argument_and_no_mode(dev, inside):
    alone = inside(dev, "token", "capabilities", "-accessor", "secret/x")
    assert (alone.code, alone.err) == (1, "Not enough arguments with -accessor (expected 2, got 1)\n")
    for mode in ("orphan", "path"):
        words = ("token", "revoke", "-accessor", f"-mode={mode}", "x")
        mine, theirs = inside(dev, *words), dev.bao(*words)
        assert (mine.code, mine.err) == (theirs.code, theirs.err)


def test_cas_is_heeded_when_the_merge_is_done_here(filled, inside):
    refused = inside(filled, "kv", "patch", "-method=rw", "-cas=99", "fields/a", "z=1")
    assert refused.code == 2
    assert "check-and-set parameter did not match" in refused.err


def test_a_detailed_list_of_plugins_tells_more(dev, inside):
    for line in ("plugin list -detailed", "plugin list -detailed auth", "plugin list auth"):
        mine, theirs = inside(dev, *line.split()), dev.bao(*line.split())
        assert mine.out.splitlines()[0].split() == theirs.out.splitlines()[0].split()
