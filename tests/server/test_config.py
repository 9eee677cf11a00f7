"""The configuration file: what is understood, and one line for every mistake."""

import dataclasses
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plugin.errors import ConfigError
from broker.server.config import load_config
from broker.server.convert import parse_duration
from broker.server.settings import AuditStanza, ListenerConfig, SealStanza, ServerConfig

BASE = (
    'storage "sqlite" { path = "/data" }\nlistener "tcp" { address = "127.0.0.1:8200" tls_disable = true }\n'
)

FULL = """
# A comment
// another
/* and one
over lines */
ui            = true
cluster_name  = "main"
api_addr      = "https://broker.example:8200"
disable_mlock = "true"
default_lease_ttl = "1h30m"
max_lease_ttl = 7200
log_level = "WARN"
workers = 3
plugins = ["one", "two",]

listener "tcp" {
  address       = "[::1]:8200"
  tls_cert_file = "/tls/cert.pem"
  tls_key_file  = "/tls/key.pem"
  tls_min_version = "tls12"
  x_forwarded_for_authorized_addrs = "10.0.0.0/8, 127.0.0.1"
  disable_unauthed_rekey_endpoints = false
  telemetry { unauthenticated_metrics_access = true }
  custom_response_headers {
    "default" = { "X-One" = ["a", "b"] }
  }
}
listener "unix" {
  address     = "/run/broker.sock"
  socket_mode = "660"
}
storage "sqlite" {
  path = "/data"
}
seal "awskms" {
  region     = "eu-west-1"
  secret_key = <<EOT
very
secret
EOT
  disabled   = "false"
}
audit "file" "main" {
  description = "everything"
  options {
    file_path = "/var/log/audit.log"
    log_raw   = false
  }
}
telemetry {
  disable_hostname = true
}
cache_size = 1000
"""


@pytest.fixture
def load(tmp_path):
    """Load one configuration text."""

    def load_text(text, name="broker.hcl"):
        file = tmp_path / name
        file.write_text(text)
        return load_config([file])

    return load_text


def test_everything_is_read(load):
    config = load(FULL)
    tcp, unix = config.listeners
    assert (tcp.address, tcp.tls, tcp.tls_min_version) == ("[::1]:8200", True, "tls12")
    assert tcp.tls_key_file == Path("/tls/key.pem")
    assert tcp.x_forwarded_for_authorized_addrs == ("10.0.0.0/8", "127.0.0.1")
    assert tcp.unauthenticated_metrics_access
    assert not tcp.disable_unauthed_rekey_endpoints
    assert tcp.custom_response_headers == {"default": {"X-One": ["a", "b"]}}
    assert (unix.kind, unix.socket_mode, unix.tls) == ("unix", 0o660, False)
    assert (config.storage.type, config.storage.settings) == ("sqlite", {"path": "/data"})
    assert config.seals == (SealStanza("awskms", {"region": "eu-west-1", "secret_key": "very\nsecret\n"}),)
    assert config.audit == (
        AuditStanza(
            "file", "main", "everything", options={"file_path": "/var/log/audit.log", "log_raw": "false"}
        ),
    )
    assert config.default_lease_ttl == timedelta(minutes=90)
    assert config.max_lease_ttl == timedelta(hours=2)
    assert (config.ui, config.disable_mlock, config.log_level, config.workers) == (True, True, "warn", 3)
    assert (config.plugins, config.telemetry) == (("one", "two"), {"disable_hostname": True})
    not_yet = {"unauthenticated_metrics_access", "ui", "plugins", "telemetry"}
    assert set(config.ignored) == {"cache_size"} | not_yet


def test_credentials_do_not_show_in_the_repr(load):
    assert "secret" not in repr(load(FULL)).replace("/secret", "")


def test_json_means_the_same(load):
    as_json = {
        "ui": True,
        "storage": {"sqlite": {"path": "/data"}},
        "listener": [
            {"tcp": {"address": "127.0.0.1:8200", "tls_disable": "true"}},
            {"unix": {"address": "/run/broker.sock", "socket_mode": "660"}},
        ],
        "audit": [{"file": {"main": {"options": {"file_path": "/log"}}}}],
        "max_lease_ttl": "1000h",
    }
    text = (
        'ui = true\nstorage "sqlite" { path = "/data" }\nlistener "tcp" { address = "127.0.0.1:8200" tls_disable = 1 }\n'
        'listener "unix" { address = "/run/broker.sock" socket_mode = "0660" }\n'
        'audit "file" "main" { options { file_path = "/log" } }\nmax_lease_ttl = "1000h"\n'
    )
    assert load(json.dumps(as_json, indent=1), "broker.json") == load(text)


def test_a_folder_is_read_in_order_and_adds_up(tmp_path):
    (tmp_path / "10-base.hcl").write_text(BASE + 'cluster_name = "first"\nui = true')
    (tmp_path / "20-more.json").write_text(
        '{"cluster_name": "second", "listener": {"unix": {"address": "/s"}}}'
    )
    (tmp_path / "notes.txt").write_text("not read")
    config = load_config([tmp_path])
    assert (config.cluster_name, config.ui) == ("second", True)
    assert [listener.kind for listener in config.listeners] == ["tcp", "unix"]


def test_several_files_add_up_in_the_order_given(tmp_path):
    one, two = tmp_path / "one.hcl", tmp_path / "two.hcl"
    one.write_text(BASE + "workers = 1")
    two.write_text('workers = 2\nstorage "inmem" {}')
    config = load_config([one, two])
    assert (config.workers, config.storage.type) == (2, "inmem")


TCP = 'listener "tcp" {\n  address = "127.0.0.1:8200"\n'
MISTAKES = {
    "unknown key": ("colour = 1\n", 1, "'colour' is not one"),
    "misspelt key": ('\ndefault_lease_tll = "1h"\n', 2, "did you mean 'default_lease_ttl'?"),
    "unknown key in a listener": (TCP + '  tls_certfile = "x"\n}\n', 3, "did you mean 'tls_cert_file'?"),
    "proxy protocol": (TCP + '  proxy_protocol_behavior = "use_always"\n}\n', 3, "is not one"),
    "unknown listener": ('listener "udp" { }\n', 1, 'expected listener "tcp" or "unix", found "udp"'),
    "listener without a kind": ('listener {\n address = "x"\n}\n', 2, 'expected listener "tcp"'),
    "listener as a string": ('listener = "tcp"\n', 1, "expected a block in braces, found a string"),
    "no certificate": (TCP + "}\n", 1, "expected tls_cert_file and tls_key_file, or tls_disable = true"),
    "bad address": (
        'listener "tcp" {\n address = "localhost"\n tls_disable = 1\n}\n',
        2,
        "expected an address like",
    ),
    "port out of range": (
        'listener "tcp" {\n address = "a:70000"\n tls_disable = 1\n}\n',
        2,
        "expected an address like",
    ),
    "bad mode": ('listener "unix" {\n address = "/s"\n socket_mode = "999"\n}\n', 3, "an octal file mode"),
    "unix without address": ('listener "unix" {\n}\n', 1, "the path of the socket"),
    "bad tls version": (TCP + '  tls_min_version = "tls10"\n}\n', 3, 'one of "tls12", "tls13"'),
    "verify without authority": (
        TCP + '  tls_cert_file = "c"\n  tls_key_file = "k"\n  tls_require_and_verify_client_cert = true\n}\n',
        5,
        "expected tls_client_ca_file",
    ),
    "wrong type, flag": ('ui = "yes"\n', 1, "expected ui to be true or false, found a string"),
    "wrong type, number": (
        "workers = [1]\n",
        1,
        "expected workers to be a whole number, 0 or more, found a list",
    ),
    "wrong type, string": ("cluster_name = 5\n", 1, "expected cluster_name to be a string, found a number"),
    "wrong type, block": ("telemetry = 3\n", 1, "expected telemetry to be a block in braces, found a number"),
    "negative number": ("workers = -1\n", 1, "expected workers to be a whole number"),
    "too many workers": ("workers = 1000\n", 1, "expected workers to be 1 to 128"),
    "no workers": ("workers = 0\n", 1, "expected workers to be 1 to 128"),
    "default above the limit": (
        'max_lease_ttl = "1h"\ndefault_lease_ttl = "10h"\nstorage "inmem" {}\n'
        + TCP
        + "  tls_disable = true\n}\n",
        2,
        "expected default_lease_ttl (10h) not above max_lease_ttl (1h)",
    ),
    "limit below what is the default": (
        'storage "inmem" {}\n' + TCP + '  tls_disable = true\n}\nmax_lease_ttl = "48h"\n',
        6,
        "expected default_lease_ttl (768h) not above max_lease_ttl (48h)",
    ),
    "bad duration": ('max_lease_ttl = "1 hour"\n', 1, 'expected max_lease_ttl to be a duration like "90s"'),
    "endless duration": ('max_lease_ttl = "99999999999h"\n', 1, "expected max_lease_ttl to be a duration"),
    "other digits": ('max_lease_ttl = "\u0661h"\n', 1, "expected max_lease_ttl to be a duration"),
    "bad log level": ('log_level = "loud"\n', 1, 'one of "trace", "debug", "info", "warn", "error"'),
    "twice": ("ui = true\nui = false\n", 2, "expected ui once, it is already set on line 1"),
    "two storages": ('storage "inmem" {}\nbackend "inmem" {}\n', 2, "expected one storage stanza"),
    "audit without a path": ('audit "file" {\n options { }\n}\n', 2, "expected a type and a path"),
    "same audit path": (
        'audit "file" "a" {}\naudit "file" "a" {}\n',
        2,
        'expected another path, "a" is taken',
    ),
    "no value": ("ui = \n}\n", 2, "expected a value, found '}'"),
    "bare word": ("cluster_name = main\n", 1, "expected a value, found 'main' (strings are quoted)"),
    "no equals sign": ("ui true\n", 1, "expected '=' or '{' after 'ui', found 'true'"),
    "open string": ('cluster_name = "main\n', 1, "expected a closing quote on the same line"),
    "open block": ('storage "inmem" {\n\n', 3, "expected a key or '}', found the end of the file"),
    "open list": ('plugins = ["a"\nui = true\n', 2, "expected ',' or ']', found 'ui'"),
    "bad escape": ('cluster_name = "\\q"\n', 1, "expected a known escape"),
    "stray mark": ("@\n", 1, "expected a key, a value or a bracket"),
    "endless nesting": ("a = " + "[" * 5000 + "\n", 1, "expected at most 32 levels"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_its_place(load, tmp_path, name):
    text, line, expected = MISTAKES[name]
    with pytest.raises(ConfigError) as caught:
        load(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'broker.hcl'}:{line}: expected ")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"ui": true,\n "colour": 1}', 2),
        ('{\n"ui": true,\n}', 3),
        ('{"ui": true\n "x": 1}', 2),
        ('["ui"]', 1),
        ('{\n "listener": [\n  {"tcp": {"tls_disable": true}},\n  {"tcp": {"address": 5}}]}', 4),
        ("{" + '"a":{' * 100_000, 1),
    ],
    ids=["unknown key", "trailing comma", "missing comma", "no object", "deep inside", "endless nesting"],
)
def test_json_mistakes_have_lines_too(load, text, line):
    with pytest.raises(ConfigError, match=rf"broker\.json:{line}: expected "):
        load(text, "broker.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('listener "unix" { address = "/s" }', "a storage stanza"),
        ('storage "inmem" {}', "a listener stanza"),
        ("", "storage"),
    ],
)
def test_what_is_missing_is_named_with_an_example(load, text, expected):
    with pytest.raises(ConfigError, match=f"expected .*{expected}"):
        load(text)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.hcl: cannot be read: No such file"):
        load_config([tmp_path / "none.hcl"])
    with pytest.raises(ConfigError, match=r"expected at least one \.hcl or \.json file"):
        load_config([tmp_path])
    (tmp_path / "bad.hcl").write_bytes(b"ui = true\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"bad\.hcl:2: expected UTF-8"):
        load_config([tmp_path / "bad.hcl"])


def test_a_value_never_shows_in_a_mistake(load):
    with pytest.raises(ConfigError) as caught:
        load('storage "x" { password = "hunter2" }\nworkers = "hunter2"')
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_either_read_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.hcl"
    file.write_text(text, encoding="utf-8", errors="replace")
    wanted = r"any\.hcl(:\d+)?: (expected|cannot) "
    with pytest.raises(ConfigError, match=wanted):  # no text this short and random is a whole configuration
        load_config([file])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("7d", 604800), ("0", 0), ("0s", 0)],
)
def test_durations_are_the_fields(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "-1h", "1 h", "1h ", "1x", "1e3s", "\u0661s", "1h\n", "9" * 40])
def test_other_durations_are_not(text):
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


ROOT = Path(__file__).parents[2]
SHARED_WITH_OTHERS = {"kind", "dev", "ignored", "listeners", "seals", "unauthenticated_metrics_access"} | {
    "accept_rollback"
}


def test_the_files_we_hand_out_are_understood(load):
    text = (ROOT / "docs/configuration.md").read_text()
    examples = re.findall(r"```hcl\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        assert load(example).listeners[0].tls
    assert load_config([ROOT / "contrib/systemd/broker.hcl"]).audit[0].options


def test_every_key_is_documented():
    text = (ROOT / "docs/configuration.md").read_text()
    for shape in (ServerConfig, ListenerConfig):
        names = {field.name for field in dataclasses.fields(shape)} - SHARED_WITH_OTHERS
        missing = {
            name for name in names if name not in text and name.replace("x_forwarded_for", "...") not in text
        }
        assert not missing


def test_lockout_stanzas_are_read_by_type(load):
    from broker.core import lockout

    config = load(
        'storage "inmem" {}\nlistener "tcp" { tls_disable = true }\n'
        'user_lockout "all" { lockout_threshold = "10"\n lockout_duration = "10m" }\n'
        'user_lockout "userpass" { lockout_counter_reset = "30s"\n disable_lockout = "true" }\n'
    )
    rules = lockout.configured(config.user_lockout)
    assert (rules["all"].threshold, rules["all"].duration, rules["all"].counter_reset) == (10, 600, 900)
    assert (rules["userpass"].threshold, rules["userpass"].counter_reset) == (10, 30)
    assert (rules["userpass"].disabled, rules["all"].disabled) == (True, False)


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        ('user_lockout "jwt" {}', "userpass"),
        ('user_lockout "all" { lockout_threshold = 0 }', "at least 1"),
        ('user_lockout "all" { lockout_treshold = 3 }', "lockout_threshold"),
        ("user_lockout {}", "user_lockout"),
    ],
)
def test_lockout_stanzas_that_are_no_good_are_named(load, stanza, expected):
    with pytest.raises(ConfigError, match=expected):
        load(f'storage "inmem" {{}}\nlistener "tcp" {{ tls_disable = true }}\n{stanza}\n')
