"""The same policies in a real OpenBao and here: what it answers, we answer."""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from broker.access.policy import ACL, Alias, Group, Identity, expand, parse_policy
from broker.access.policy.default_policies import DEFAULT_TEXT
from broker.plugin.errors import InvalidRequest
from broker.plugin.verbs import Verb
from tests.fixtures.servers import free_port

pytestmark = pytest.mark.peer

#: Lets every generated token ask about itself, whatever its other rules say.
SELF = 'path "sys/capabilities-self" { capabilities = ["update"] }\n'


def bao_binary() -> str | None:
    beside = Path(sys.executable).with_name("bao")
    return str(beside) if beside.exists() else shutil.which("bao")


class Peer:
    def __init__(self, address: str) -> None:
        self.address = address
        self._names = itertools.count()

    def call(self, method: str, path: str, body: object = None, token: str = "root") -> tuple[int, dict]:
        request = urllib.request.Request(
            f"{self.address}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": token},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def write(self, text: str, name: str = "probe") -> tuple[int, dict]:
        return self.call("PUT", f"sys/policies/acl/{name}", {"policy": text})

    def token(self, *texts: str) -> str:
        names = [f"generated-{next(self._names)}" for _ in texts]
        for name, text in zip(names, texts, strict=True):
            status, answer = self.write(text, name)
            assert status == 204, (text, answer)
        body = {"policies": names, "no_default_policy": True}
        return self.call("POST", "auth/token/create", body)[1]["auth"]["client_token"]

    def capabilities(self, token: str, paths: list[str]) -> dict[str, list[str]]:
        status, answer = self.call("POST", "sys/capabilities-self", {"paths": paths}, token)
        assert status == 200, answer
        return {path: answer[path] for path in paths}


@pytest.fixture(scope="session")
def peer():
    binary = bao_binary()
    if binary is None:
        pytest.skip("no bao binary")
    port = free_port()
    server = subprocess.Popen(
        [
            binary,
            "server",
            "-dev",
            "-dev-no-store-token",
            "-dev-root-token-id=root",
            f"-dev-listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _wait(Peer(f"http://127.0.0.1:{port}"), server)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(peer: Peer, server: subprocess.Popen) -> Peer:
    for _ in range(300):
        assert server.poll() is None, "bao did not start"
        try:
            if peer.call("GET", "sys/health")[0] == 200 and peer.call("GET", "sys/mounts/secret")[0] == 200:
                return peer
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("bao did not become ready")


def ours(*texts: str) -> ACL:
    return ACL([parse_policy(f"p{number}", text) for number, text in enumerate(texts)])


def compare(peer: Peer, paths: list[str], *texts: str) -> None:
    texts = (*texts[:-1], texts[-1] + SELF)
    theirs = peer.capabilities(peer.token(*texts), paths)
    acl = ours(*texts)
    assert {path: acl.capabilities(path, now=time.time()) for path in paths} == theirs, texts


def block(path: str, *words: str) -> str:
    return f'path "{path}" {{ capabilities = {json.dumps(words)} }}\n'


LISTED = ["secret/metadata/deny", "secret/metadata/deny/", "secret/metadata/deny/x", "secret/metadata/denial"]
ALLOW_ALL = block("secret/metadata/*", "list", "read")


@pytest.mark.parametrize(
    ("paths", "texts"),
    [
        (["a/b", "a/c"], [block("a/*", "read"), block("a/*", "deny")]),
        (["a/b", "a/c"], [block("a/b", "read") + block("a/*", "deny")]),
        (["a/b", "a/c/d"], [block("a/+", "deny") + block("a/*", "read")]),
        (["a/b", "a/c/d"], [block("a/+", "read") + block("a/*", "deny")]),
        *[
            (LISTED, [ALLOW_ALL + block(f"secret/metadata/{deny}", "deny")])
            for deny in ("deny/*", "deny/", "deny", "deny*")
        ],
        (LISTED, [ALLOW_ALL + block("secret/metadata/+/*", "deny")]),
        (LISTED, [ALLOW_ALL + block("secret/+/deny", "deny")]),
        (["a"], [block("a", "deny", "sudo")]),
        (["a"], [block("a", "deny"), block("a", "sudo", "read")]),
        (["a"], [block("a", "read") + block("a", "list")]),
        (["a"], [block("a", "read") + block("a", "deny") + block("a", "list")]),
        (["a/b"], [block("a/*", "read"), block("a/b")]),
        (["a"], ['path "a" { capabilities = ["read"] capabilities = ["list"] }\n']),
        (["a"], ['path "a" { policy = "write" capabilities = ["scan"] }\n']),
        (["a"], ['path "a" { policy = "sudo" }\n']),
    ],
)
def test_denials_take_precedence_as_in_the_peer(peer, paths, texts):
    compare(peer, paths, *texts)


def test_a_large_matrix_of_rules_and_paths_has_the_same_capabilities(peer):
    """Random policies over a small alphabet, so that rules overlap in every way that precedence knows."""
    chance = random.Random(20_240_229)
    literals = ["a", "b", "ab", "+", "+", "a+", "+b"]
    words = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny"]
    paths = ["/".join(parts) for n in (1, 2, 3, 4) for parts in itertools.product(["a", "b", "ab"], repeat=n)]
    paths += [path + "/" for path in paths[:39]] + ["a+", "+b/a", "a/+b", "a/a+", "a/+b/a"]

    def rule() -> str:
        path = "/".join(chance.choices(literals, k=chance.randint(1, 4))) + chance.choice(
            ["", "", "*", "/*", "/", "/a*"]
        )
        return block(path.replace("+*", "+"), *chance.sample(words, chance.randint(0, 2)))

    for _ in range(60):
        texts = ["".join(rule() for _ in range(chance.randint(1, 7))) for _ in range(chance.randint(1, 3))]
        compare(peer, chance.sample(paths, 60), *texts)


REQUESTS: list[tuple[str, dict | None]] = [
    *[
        ("POST", body)
        for body in ({"n": "abc"}, {"n": "b"}, {"N": "abc"}, {"n": "abc", "m": 1}, {"m": True}, {})
    ],
    *[("POST", {"n": value}) for value in (None, True, ["a", "b"], {"a": "x"}, "*", "")],
]


@pytest.mark.parametrize(
    "condition",
    [
        'allowed_parameters = { "n" = [] }',
        'allowed_parameters = { "n" = ["abc"] }',
        'allowed_parameters { "N" = ["a*"] }',
        'allowed_parameters { "n" = ["*c", "*"] }',
        'allowed_parameters { "n" = ["*b*"] "*" = [] }',
        'allowed_parameters { "*" = [] }',
        'allowed_parameters { "*" = ["b"] }',
        'allowed_parameters { "n" = [true, ["a", "b"], {a = "x"}] }',
        'denied_parameters { "*" = [] }',
        'denied_parameters { "*" = ["b"] }',
        'denied_parameters { "n" = ["a*", true] }',
        'denied_parameters { "n" = [] } allowed_parameters { "*" = [] }',
        'required_parameters = ["n"]',
        'required_parameters = ["N", "m"]',
        'min_wrapping_ttl = "1m"',
        'max_wrapping_ttl = "1m"',
    ],
)
def test_conditions_on_parameters_are_met_as_in_the_peer(peer, condition):
    peer.call("POST", "sys/mounts/kv1", {"type": "kv"})
    text = f'path "kv1/x" {{ capabilities = ["create", "update"] {condition} }}\n'
    token, acl = peer.token(text), ours(text)
    for method, body in REQUESTS:
        status, _ = peer.call(method, "kv1/x", body, token)
        allowed = acl.check(Verb.UPDATE, "kv1/x", data=body, now=time.time()).allowed
        assert allowed == (status != 403), (condition, body, status)


@pytest.mark.parametrize("asked", [None, "2", "3", "4", "max", "x", "-1"])
@pytest.mark.parametrize("extra", ["", 'required_parameters = ["limit"]'])
def test_page_limits_hold_as_in_the_peer(peer, asked, extra):
    peer.call("POST", "sys/mounts/kv1", {"type": "kv"})
    peer.call("POST", "kv1/d/x", {"a": 1})
    text = f'path "kv1/d" {{ capabilities = ["list"] pagination_limit = 3 {extra} }}\n'
    query = "" if asked is None else f"?limit={asked}"
    status, _ = peer.call("LIST", f"kv1/d{query}", token=peer.token(text))
    data = {} if asked is None else {"limit": asked}
    assert ours(text).check(Verb.LIST, "kv1/d/", data=data, now=time.time()).allowed == (status != 403)


FOLDER = "secret/metadata/folder/"


@pytest.mark.parametrize("name", ["scan", "list"])
@pytest.mark.parametrize(
    "rules",
    [
        [("*", True), ("+", False)],
        [("*", True), ("+/*", False)],
        [("+/*", True), ("folder*", False)],
        [("+", True), ("folder/x", False)],
        [("folder", True), ("folder/*", False)],
        [("folder/", True), ("folder", False)],
        [("+", True)],
        [("fold*", True)],
        [("folder/x", True)],
    ],
)
def test_folders_are_listed_and_scanned_as_in_the_peer(peer, name, rules):
    peer.call("POST", "secret/data/folder/x", {"data": {"a": "1"}})
    text = "".join(block(f"secret/metadata/{path}", name if grants else "deny") for path, grants in rules)
    status, _ = peer.call(name.upper(), FOLDER, token=peer.token(text))
    assert ours(text).check(Verb(name), FOLDER, now=time.time()).allowed == (status == 200)


@pytest.mark.parametrize(
    "template",
    [
        "{{ .path }}{{ .key }}",
        "{{.path}}{{.key}}",
        'kv1/{{ .key | replace "a" "b" }}',
        '{{ .path | replace "kv1/filtered" "kv1/other" }}{{ .key }}',
        "kv1/filtered/{{ .key}}",
    ],
)
def test_listings_are_filtered_as_in_the_peer(peer, template):
    peer.call("POST", "sys/mounts/kv1", {"type": "kv"})
    keys = ["a", "b", "c", "d/", "e/"]
    for key in keys:
        peer.call("POST", f"kv1/filtered/{key}x" if key.endswith("/") else f"kv1/filtered/{key}", {"n": 1})
    listing = f"list_scan_response_keys_filter_path = {json.dumps(template)}"
    text = f'path "kv1/filtered" {{ capabilities = ["list"] {listing} }}\n'
    text += (
        block("kv1/filtered/a", "read") + block("kv1/filtered/b", "list") + block("kv1/filtered/d/", "list")
    )
    text += block("kv1/b", "read") + block("kv1/other/c", "read")
    status, answer = peer.call("LIST", "kv1/filtered/", token=peer.token(text))
    acl = ours(text)
    decision = acl.check(Verb.LIST, "kv1/filtered/", now=time.time())
    shown = acl.visible_keys(decision, "kv1/filtered/", keys, now=time.time())
    assert shown == (answer["data"]["keys"] if status == 200 else [])


ACCEPTED = [
    "# nothing but a comment",
    'name = "x"\npath "a" {}',
    '"path" "a" { "capabilities" = ["read"] }',
    'path a { capabilities = ["read",], comment = "x" }',
    'path "a" { allowed_parameters { "x" = [] } }',
    'path "a" { allowed_parameters = { x = [1, true, 1.5, "a", [1], {a = 1}] } }',
    'path "a" { min_wrapping_ttl = "1d" max_wrapping_ttl = 900000 }',
    'path "a" { expiration = "2035-01-01T00:00:00Z" }',
    'path "a" { expiration = 1900000000 }',
    'path "a" { pagination_limit = "10" }',
    '// c\n/* c\n c */\npath "a${x}" {}',
    'path "{{ identity.entity.id }}/*" {}',
    '{"path": {"a": {"capabilities": ["read"]}}}',
    '{"path": [{"a": {"capabilities": ["read"]}}, {"b": {"policy": "write"}}]}',
    'path "a" { capabilities = ["list"] list_scan_response_keys_filter_path = "{{ .path }}{{ .key }}" }',
    DEFAULT_TEXT,
]

REFUSED = [
    ("foo = 1", 'invalid key "foo"'),
    ('path "a" { x = 1 }', 'invalid key "x"'),
    ('path "a" { capabilities = ["foo"] }', 'path "a": invalid capability "foo"'),
    ('path "a" { policy = "foo" }', 'path "a": invalid policy "foo"'),
    ('path "a/+*" { }', "invalid use of wildcards ('+*' is forbidden)"),
    ('path "{{identity.entity.id" { }', "unbalanced templating characters"),
    (
        'path "a" { min_wrapping_ttl = "1m" max_wrapping_ttl = 30 }',
        "max_wrapping_ttl cannot be less than min_wrapping_ttl",
    ),
    ('path "a" { expiration = "tomorrow" }', "invalid expiration time"),
    (
        'path "a" { capabilities = ["list"] list_scan_response_keys_filter_path = "x" }',
        "list_scan_response_keys_filter_path resulted in same path for two different keys",
    ),
    ('path "a" { capabilities = "read" }', ""),
    ('path "a" { capabilities = ["read" "list"] }', ""),
    ('path "a" {', ""),
    ("[]", ""),
    ('path "a" = { }', ""),
    ("path 'a' { }", ""),
    ('{"path": {"a": null}}', ""),
    ('path "a" { required_parameters = "x" }', ""),
    ('path "a" { allowed_parameters = { x = "y" } }', ""),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_peer_accepts_is_accepted(peer, text):
    assert peer.write(text)[0] == 204
    parse_policy("p", text)


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_the_peer_refuses_is_refused_with_its_words(peer, text, said):
    status, answer = peer.write(text)
    assert status == 400
    assert said in answer["errors"][0]
    with pytest.raises(InvalidRequest) as refused:
        parse_policy("p", text)
    assert said in str(refused.value)
    assert str(refused.value).startswith("failed to parse policy: ")


def test_templates_are_filled_in_as_in_the_peer(peer):
    caller, token = known_caller(peer)
    alias, group = caller.aliases[0], caller.groups[0]
    names = [
        "identity.entity.id",
        " identity.entity.name ",
        "identity.entity.metadata.team",
        "identity.entity.metadata.none",
        f"identity.entity.aliases.{alias.accessor}.id",
        f"identity.entity.aliases.{alias.accessor}.name",
        "identity.entity.aliases.other.name",
        f"identity.groups.ids.{group.id}.id",
        f"identity.groups.ids.{group.id}.name",
        f"identity.groups.ids.{group.id}.metadata.level",
        f"identity.groups.names.{group.name}.id",
        f"identity.groups.names.{group.name}.none",
        "identity.nothing",
        "",
    ]
    text = 'path "sys/internal/ui/resultant-acl" { policy = "read" }\n'
    text += "".join(block(f"t{number}/{{{{{name}}}}}/x", "read") for number, name in enumerate(names))
    assert peer.write(text, "templated")[0] == 204
    answer = peer.call("GET", "sys/internal/ui/resultant-acl", token=token)[1]
    theirs = {path for path in answer["data"]["exact_paths"] if path.startswith("t")}
    own = {rule.path for rule in expand(parse_policy("templated", text), caller).rules}
    assert {path for path in own if path.startswith("t")} == theirs
    assert len(theirs) == 9


def known_caller(peer: Peer) -> tuple[Identity, str]:
    """An entity with metadata, one alias and one group, and a token of it with the policy ``templated``."""
    peer.call("POST", "sys/auth/userpass", {"type": "userpass"})
    accessor = peer.call("GET", "sys/auth")[1]["data"]["userpass/"]["accessor"]
    user = {"password": "correct horse", "token_policies": ["templated"], "token_no_default_policy": True}
    peer.call("POST", "auth/userpass/users/ann", user)
    auth = peer.call("POST", "auth/userpass/login/ann", {"password": "correct horse"})[1]["auth"]
    entity = f"identity/entity/id/{auth['entity_id']}"
    assert peer.call("POST", entity, {"name": "ann-entity", "metadata": {"team": "red"}})[0] in (200, 204)
    group = {"name": "ops", "member_entity_ids": [auth["entity_id"]], "metadata": {"level": "3"}}
    group_id = peer.call("POST", "identity/group", group)[1]["data"]["id"]
    alias_id = peer.call("GET", entity)[1]["data"]["aliases"][0]["id"]
    caller = Identity(
        id=auth["entity_id"],
        name="ann-entity",
        metadata={"team": "red"},
        aliases=(Alias(accessor, id=alias_id, name="ann"),),
        groups=(Group(group_id, "ops", {"level": "3"}),),
    )
    return caller, auth["client_token"]


def test_the_default_policy_grants_what_the_peers_grants(peer):
    theirs = parse_policy("default", peer.call("GET", "sys/policies/acl/default")[1]["data"]["policy"])
    own = {rule.path: set(rule.capabilities) for rule in parse_policy("default", DEFAULT_TEXT).rules}
    assert {rule.path: set(rule.capabilities) for rule in theirs.rules}.items() <= own.items()
    assert set(own) - {rule.path for rule in theirs.rules} == {"sys/policies/explain"}
