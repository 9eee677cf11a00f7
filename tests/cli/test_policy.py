"""Formatting policies, and rendering what explains a decision."""

import http.server
import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cli.explain import rendered
from broker.cli.invocation import Failure
from broker.cli.policyfmt import formatted
from broker.plugin.errors import InvalidRequest

UGLY = """# who reads
path "secret/*" {capabilities=["read","list"] # why
  min_wrapping_ttl = "1s" }


path  "b" { policy = "deny"
/* block */
}
path "c" {
allowed_parameters = { "a" = ["x", "y"]
 "bb" = [] }
}
"""
NEAT = """# who reads
path "secret/*" {
  capabilities     = ["read", "list"] # why
  min_wrapping_ttl = "1s"
}

path "b" {
  policy = "deny"
  /* block */
}
path "c" {
  allowed_parameters = {
    "a"  = ["x", "y"]
    "bb" = []
  }
}
"""


def test_formatting_keeps_comments_and_lines_up_attributes():
    assert formatted(UGLY) == NEAT


def test_what_is_neat_stays_as_it_is():
    assert formatted(NEAT) == NEAT


NAMES = st.text("abz/*+_-", min_size=1, max_size=8)
VALUES = st.one_of(
    st.integers(0, 9).map(str), st.booleans().map(lambda v: str(v).lower()), NAMES.map(lambda n: f'"{n}"')
)
LISTS = st.lists(NAMES.map(lambda n: f'"{n}"'), max_size=3).map(lambda items: "[" + ",".join(items) + "]")
BLANKS = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def policies(draw):
    blocks = []
    for path in draw(st.lists(NAMES, max_size=3)):
        keys = draw(st.lists(st.sampled_from(["capabilities", "x", "max_ttl"]), max_size=3, unique=True))
        lines = [f"{draw(BLANKS)}{key}{draw(BLANKS)}={draw(BLANKS)}{draw(VALUES | LISTS)}" for key in keys]
        comment = draw(st.sampled_from(["", "# note\n", "// note\n", "/* note */\n"]))
        newline = draw(st.sampled_from(["\n", " \n\n\n"]))
        blocks.append(f'{comment}path{draw(BLANKS)} "{path}" {{\n{newline.join(lines)}\n}}{newline}')
    return "".join(blocks)


@settings(max_examples=100, deadline=None)
@given(policies())
def test_formatting_is_stable_and_never_changes_the_meaning(text):
    from broker.access.policy import hcl1
    from broker.cli.policyfmt import _meaning

    once = formatted(text)
    assert _meaning(hcl1.read(once)) == _meaning(hcl1.read(text))
    assert formatted(once) == once


def test_json_policies_are_indented():
    assert formatted('{"path":{"a":{"policy":"deny"}}}').splitlines()[1] == '  "path": {'


@pytest.mark.parametrize(
    "text", ['path "a" {', 'path "a" { x = <<E\nhello\nE\n}', "{not json", 'path "a" { x = [1, # c\n2] }']
)
def test_what_cannot_be_formatted_safely_is_refused(text):
    with pytest.raises((InvalidRequest, Failure)):
        formatted(text)


def test_fmt_rewrites_the_file_and_keeps_its_mode_and_a_broken_one_as_it_was(dev):
    path = dev.home / "fmt.hcl"
    path.write_text('path "a" { capabilities=["read"] }')
    path.chmod(0o640)
    ours = dev.broker("policy", "fmt", "fmt.hcl")
    assert (ours.code, ours.out) == (0, "Success! Formatted policy: fmt.hcl\n")
    mine = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_text('path "a" { capabilities=["read"] }')
    assert dev.bao("policy", "fmt", "fmt.hcl").code == 0
    assert mine == path.read_text()
    path.write_text('path "a" {')
    broken = dev.broker("policy", "fmt", "fmt.hcl")
    assert broken.code == 1
    assert "line 1" in broken.err
    assert path.read_text() == 'path "a" {'


ANSWER = {
    "allowed": False,
    "operation": "read",
    "path": "secret/data/app",
    "reason": "capability_missing",
    "why": 'path "secret/data/*" (policy app, line 3) does not grant read.',
    "policy": "app",
    "rule": "secret/data/*",
    "line": 3,
    "shadowed": [
        {"policy": "base", "rule": "secret/*", "line": 1, "capabilities": ["read"], "why": "less specific"}
    ],
    "near": [
        {"policy": "app", "rule": "secret/app", "line": 9, "capabilities": ["read"], "why": "lacks data/"}
    ],
    "smallest_rule": 'path "secret/data/app" {\n  capabilities = ["read"]\n}',
    "notes": ["KV version 2 keeps data below data/"],
}


def test_an_explanation_names_rule_reason_near_misses_and_the_way_out():
    text = "\n".join(rendered(ANSWER))
    for part in (
        "DENIED  read secret/data/app",
        "policy app, line 3",
        "less specific",
        "lacks data/",
        "KV version 2",
    ):
        assert part in text
    assert '    path "secret/data/app" {' in text


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*ANSWER, "decided_by", "near_misses", "shadowed_by", "suggestion"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["rule", "why", "x"]), inner)
            ),
            max_leaves=4,
        ),
    )
)
def test_whatever_the_answers_shape_it_is_rendered(answer):
    lines = rendered(answer)
    assert lines[0].startswith(("ALLOWED", "DENIED"))


@pytest.fixture
def explaining():
    """A server that answers sys/policies/explain and remembers the question."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            content = json.dumps({"request_id": "x", "data": ANSWER}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["read", "a/b"], {"operation": "read", "path": "a/b"}),
        (["-policy=p", "-policy=q", "read", "a"], {"operation": "read", "path": "a", "policies": ["p", "q"]}),
        (["-accessor=x", "list", "a"], {"operation": "list", "path": "a", "accessor": "x"}),
        (["-token=-", "list", "a"], {"operation": "list", "path": "a", "token": "tok"}),
        (["-request-id=r"], {"request_id": "r"}),
    ],
)
def test_explain_asks_what_the_flags_say(dev, explaining, words, question):
    address, asked = explaining
    done = dev.broker("policy", "explain", f"-address={address}", *words, stdin="tok")
    assert done.code == 0, done.err
    assert asked == [("/v1/sys/policies/explain", question)]
    assert done.out.startswith("DENIED  read secret/data/app")
    assert dev.broker("policy", "explain", f"-address={address}", "-format=json", "read", "a").json == ANSWER


@pytest.mark.parametrize(
    "words",
    [[], ["read"], ["fly", "a"], ["-request-id=r", "read", "a"], ["-policy=p", "-accessor=a", "read", "x"]],
)
def test_explain_refuses_unclear_questions(dev, explaining, words):
    address, asked = explaining
    assert dev.broker("policy", "explain", f"-address={address}", *words).code == 1
    assert asked == []
