"""Nothing secret in process arguments, error texts, or files others can read."""

import os
import stat
import time
from pathlib import Path

import pytest

CANARY = "canary-9f41c7d2"


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(deeper for child in children for deeper in family(int(child)))]


def test_a_token_typed_at_login_is_not_shown_and_stands_in_no_process_list(dev, tmp_path):
    token = dev.broker("token", "create", "-field=token").out
    with dev.terminal("login", BROKER_TOKEN="", BAO_TOKEN="", HOME=str(tmp_path)) as terminal:
        terminal.expect("Token (will be hidden):")
        for pid in family(terminal.process.pid):
            assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert token.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        terminal.type(token + "\n")
        terminal.expect("Success! You are now authenticated")
        shown = terminal.screen.index("Success!")
        assert token not in terminal.screen[:shown]
        assert terminal.end() == 0
    kept = tmp_path / ".vault-token"
    assert kept.read_text() == token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    own = {"BROKER_TOKEN": "", "BAO_TOKEN": "", "HOME": str(tmp_path)}
    assert (
        dev.broker("print", "token", **own).out.strip()
        == dev.bao("print", "token", **own).out.strip()
        == token
    )
    assert dev.broker("token", "lookup", "-field=id", **own).out == token


def test_login_replaces_a_wide_open_token_file_and_follows_no_link(dev, tmp_path):
    (tmp_path / "elsewhere").write_text("untouched")
    os.symlink(tmp_path / "elsewhere", tmp_path / ".vault-token")
    done = dev.broker("login", "-", stdin="root\n", BROKER_TOKEN="", BAO_TOKEN="", HOME=str(tmp_path))
    assert done.code == 0
    assert (tmp_path / "elsewhere").read_text() == "untouched"
    assert not (tmp_path / ".vault-token").is_symlink()
    assert stat.S_IMODE((tmp_path / ".vault-token").stat().st_mode) == 0o600


def test_a_login_token_on_the_command_line_is_refused_without_repeating_it(dev):
    for words in (["login", CANARY], ["login", f"token={CANARY}"]):
        refused = dev.broker(*words, BROKER_TOKEN="", BAO_TOKEN="")
        assert refused.code == 1
        assert CANARY not in refused.out + refused.err


def test_a_failed_login_keeps_nothing(dev, tmp_path):
    env = {"BROKER_TOKEN": "", "BAO_TOKEN": "", "HOME": str(tmp_path)}
    refused = dev.broker("login", "-", stdin=CANARY, **env)
    assert refused.code == dev.bao("login", "-", stdin=CANARY, **env).code == 2
    assert CANARY not in refused.out + refused.err
    assert not (tmp_path / ".vault-token").exists()


def test_a_password_is_asked_for_without_echo(dev, tmp_path):
    dev.broker("auth", "enable", "-path=asked", "userpass")
    dev.broker("write", "auth/asked/users/bob", "password=-", stdin=CANARY)
    words = ["login", "-method=userpass", "-path=asked", "-no-store", "username=bob"]
    with dev.terminal(*words, BROKER_TOKEN="", BAO_TOKEN="", HOME=str(tmp_path)) as terminal:
        terminal.expect("Password (will be hidden):")
        terminal.type(CANARY + "\n")
        terminal.expect("token_meta_username")
        assert terminal.end() == 0
        assert CANARY not in terminal.screen
    assert not (tmp_path / ".vault-token").exists()


def test_values_come_from_stdin_and_files_never_needing_the_command_line(dev):
    (dev.home / "secret.txt").write_text(CANARY)
    (dev.home / "whole.json").write_text('{"a": {"b": [1, true, null]}}')
    assert dev.broker("kv", "put", "secret/in", "x=-", stdin=CANARY).code == 0
    assert dev.broker("kv", "get", "-field=x", "secret/in").out == CANARY
    assert dev.broker("kv", "put", "secret/in", "x=@secret.txt").code == 0
    assert dev.broker("kv", "get", "-field=x", "secret/in").out == CANARY
    assert dev.broker("kv", "put", "secret/in", "@whole.json").code == 0
    assert dev.broker("kv", "get", "-format=json", "secret/in").json["data"]["data"] == {
        "a": {"b": [1, True, None]}
    }
    assert dev.broker("write", "cubbyhole/in", "-", stdin='{"k": "v"}').code == 0
    assert dev.bao("read", "-field=k", "cubbyhole/in").out == "v"


@pytest.mark.parametrize(
    "words",
    [
        ["write", "cubbyhole/x", CANARY],
        ["kv", "put", "secret/x", CANARY],
        ["write", "cubbyhole/x", "a=-", "b=-"],
        ["write", "cubbyhole/x", "@secret.txt"],
        ["write", "-force=" + "yes-please", "cubbyhole/x"],
    ],
)
def test_bad_data_is_a_usage_error_that_shows_no_value(dev, words):
    (dev.home / "secret.txt").write_text(CANARY)
    refused = dev.broker(*words, stdin=CANARY)
    assert refused.code == 1
    assert refused.err.strip()
    assert CANARY not in refused.out + refused.err


def test_a_token_that_cannot_be_sent_is_not_repeated(dev):
    refused = dev.broker("token", "lookup", BROKER_TOKEN=f"{CANARY}\nX-Evil: 1")
    assert refused.code == 1
    assert CANARY not in refused.err


def test_an_unreachable_server_is_exit_code_2_without_a_traceback_or_token(dev):
    refused = dev.broker("read", "secret/x", "-address=http://127.0.0.1:1", BROKER_TOKEN=CANARY)
    assert (
        refused.code
        == dev.bao("read", "-address=http://127.0.0.1:1", "secret/x", BAO_MAX_RETRIES="0").code
        == 2
    )
    assert "no answer from http://127.0.0.1:1" in refused.err
    assert "Traceback" not in refused.err
    assert CANARY not in refused.err


def test_a_stored_value_cannot_command_the_terminal(dev):
    assert dev.broker("kv", "put", "secret/evil", "x=\x1b]0;owned\x07\x1b[2J").code == 0
    shown = dev.broker("kv", "get", "secret/evil").out
    assert "\x1b" not in shown
    assert "\\x1b[2J" in shown
    # One field is for programs, and comes as it is.
    assert dev.broker("kv", "get", "-field=x", "secret/evil").out == "\x1b]0;owned\x07\x1b[2J"


def test_on_a_terminal_long_values_are_shown_whole(dev):
    value = "v" * 400
    dev.broker("kv", "put", "secret/long", "x=-", stdin=value)
    with dev.terminal("kv", "get", "secret/long") as terminal:
        assert terminal.end() == 0
        assert value in terminal.screen.replace("\r\n", "")
    with dev.terminal("kv", "get", "-field=x", "secret/long") as terminal:
        assert terminal.end() == 0
        assert terminal.screen == value + "\r\n"


def test_on_a_terminal_a_table_that_fits_is_drawn(dev):
    with dev.terminal("secrets", "list") as terminal:
        assert terminal.end() == 0
        assert "\u2500" in terminal.screen
        assert "cubbyhole/" in terminal.screen


def test_interrupting_a_prompt_ends_with_130(dev):
    with dev.terminal("login", BROKER_TOKEN="", BAO_TOKEN="") as terminal:
        terminal.expect("Token (will be hidden):")
        time.sleep(0.1)
        terminal.type("\x03")
        terminal.expect("Interrupted.")
        assert terminal.end() == 130
