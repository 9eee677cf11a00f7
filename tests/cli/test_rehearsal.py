"""A request shown instead of sent: as a curl command line, or as the policy that it needs."""

import re
import shlex

import pytest

from broker.cli.rehearsal import curl, policy

# FLAG stands for the flag: the peer takes flags before arguments only.
COMMANDS = [
    "status FLAG",
    "read FLAG secret/data/foo y=1 z=2",
    "read -namespace=n1 FLAG secret/foo",
    "write FLAG cubbyhole/a x=y",
    "patch FLAG secret/data/foo a=1",
    "delete FLAG cubbyhole/a",
    "list FLAG cubbyhole",
    "kv get FLAG secret/foo",
    "kv put FLAG secret/foo a=1 b=it's",
    "kv patch FLAG secret/foo a=1",
    "kv list FLAG secret",
    "kv rollback FLAG -version=1 secret/foo",
    "kv metadata get FLAG secret/foo",
    "secrets list FLAG",
    "secrets move FLAG a b",
    "auth list FLAG",
    "audit list FLAG",
    "policy read FLAG default",
    "policy delete FLAG x",
    "token lookup FLAG",
    "namespace delete FLAG x",
    "lease revoke FLAG -prefix auth/x/",
    "operator key-status FLAG",
    "plugin list FLAG",
    "path-help FLAG sys",
]
# The peer sends empty fields here, so only the policy is compared.
POLICIES = ["secrets enable FLAG kv", "auth enable FLAG userpass", "token create FLAG -ttl=1h"]
POLICIES += ["operator rotate FLAG", "lease renew FLAG x"]


def said_by_curl(line: str) -> tuple[set[str], str | None, str]:
    """Headers, data and address of a curl command line."""
    words = shlex.split(line.replace("$(bao print token)", "TOKEN").replace("$(broker print token)", "TOKEN"))
    assert words[0] == "curl"
    headers = {words[at + 1] for at, word in enumerate(words) if word == "-H"}
    data = next(
        (re.sub(r"([:,]) ", r"\1", words[at + 1]) for at, word in enumerate(words) if word == "-d"), None
    )
    method = next((words[at + 1] for at, word in enumerate(words) if word == "-X"), "GET")
    # The peer's server reads JSON whatever it is said to be, and its client spells a namespace with a slash.
    headers = {header.rstrip("/") for header in headers - {"Content-Type: application/json"}}
    return headers, data, f"{method} {words[-1]}"


@pytest.mark.peer
@pytest.mark.parametrize("line", COMMANDS)
def test_the_same_request_is_shown_as_by_the_peer(dev, inside, line):
    by_curl = line.replace("FLAG", "-output-curl-string").split()
    mine, theirs = inside(dev, *by_curl), dev.bao(*by_curl)
    assert mine.code == theirs.code == 0, mine.err
    assert said_by_curl(mine.out) == said_by_curl(theirs.out)


@pytest.mark.peer
@pytest.mark.parametrize("line", [*COMMANDS, *POLICIES])
def test_the_same_policy_is_shown_as_by_the_peer(dev, inside, line):
    words = line.replace("FLAG", "-output-policy").split()
    mine, theirs = inside(dev, *words), dev.bao(*words)
    assert (mine.code, mine.out) == (theirs.code, theirs.out)


def test_nothing_is_sent(dev, inside):
    assert inside(dev, "write", "-output-curl-string", "cubbyhole/never", "x=1").code == 0
    assert inside(dev, "policy", "write", "-output-policy", "never", "-", stdin="").code == 0
    assert inside(dev, "read", "cubbyhole/never").code == 2
    assert "never" not in inside(dev, "policy", "list").out


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("operator unseal", '{"key": "<unseal key>"'),
        ("token lookup s.CANARY", '{"token": "<token>"}'),
        ("unwrap s.CANARY", '{"token": "<wrapping token>"}'),
        ("login -method=userpass username=bob", '{"password": "<password>"}'),
        ("operator generate-root -init -otp=CANARY", '{"otp": "<otp>"}'),
    ],
)
def test_neither_the_token_nor_a_typed_secret_is_asked_for_or_shown(dev, inside, line, shown):
    done = inside(dev, *line.split(), "-output-curl-string", stdin="CANARY")
    assert done.code == 0
    assert shown in done.out
    assert "CANARY" not in done.out + done.err
    assert "root" not in done.out.replace("generate-root", "")


def test_a_path_of_the_shells_words_does_nothing_in_the_shell():
    line = curl("http://h", "GET", "/v1/secret/$(id)`id`", {"X-Vault-Token": "s.secret", "X-A": '"$x"'}, None)
    assert shlex.split(line)[-1] == "http://h/v1/secret/$(id)`id`"
    assert shlex.quote("http://h/v1/secret/$(id)`id`") in line
    assert shlex.quote('X-A: "$x"') in line
    assert "s.secret" not in line
    assert '-H "X-Vault-Token: $(broker print token)"' in line


def test_a_unix_socket_and_certificates_are_told_to_curl():
    line = curl("unix:///run/b.sock", "DELETE", "/v1/x", {}, None, ["--cacert", "ca.pem"])
    assert line == 'curl --cacert ca.pem --unix-socket /run/b.sock -X DELETE "http://localhost/v1/x"'


def test_a_policy_asks_for_sudo_exactly_where_our_server_does():
    """Against the table that the server serves by; a path's parameters become a word."""
    from broker.core.system.engine import SystemEngine

    rows = [(f"sys/{row.template}", row.operations) for row in SystemEngine.PATHS]
    methods = {
        "read": "GET",
        "list": "GET",
        "create": "PUT",
        "update": "PUT",
        "patch": "PATCH",
        "delete": "DELETE",
    }
    checked = 0
    for template, operations in rows:
        path = re.sub(r"\{[^}]*\}", "x", template)
        for verb, operation in operations.items():
            name = str(getattr(verb, "value", verb))
            if name not in methods:
                continue
            query = "?list=true" if name == "list" else ""
            told = policy(methods[name], f"/v1/{path}{query}")
            assert ('"sudo"' in told) == operation.sudo, (name, path)
            checked += operation.sudo
    assert checked > 30
