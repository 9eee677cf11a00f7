"""Where a development server's token comes from, and that it is found on a command line in every spelling."""

import os
import sys

import pytest

from broker.plugin.errors import ConfigError
from broker.server.devtoken import dev_token, keep_out_of_sight, place_of_token


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["-dev", "-dev-root-token-id=t"], 1),
        (["--dev-root-token-id=t", "-dev"], 0),
        (["-dev-root-token-id", "t"], 1),
        (["--dev-root-token-id", "t"], 1),
        (["-dev-root-token-id=@/dev/fd/3"], None),
        (["-dev-root-token-id", "@file"], None),
        (["-dev-root-token-id="], None),
        (["-dev-root-token-id"], None),
        (["-dev"], None),
    ],
)
def test_a_token_is_found_wherever_it_shows(words, place):
    assert place_of_token(words) == place


def test_the_program_runs_itself_anew_with_the_token_in_a_pipe(monkeypatch):
    ran = []
    monkeypatch.setattr(
        sys, "orig_argv", ["python3", "-X", "dev", "broker", "server", "-dev-root-token-id", "t0k"]
    )
    monkeypatch.setattr(os, "execv", lambda program, words: ran.append((program, words)))
    keep_out_of_sight(["-dev-root-token-id", "t0k"])
    ((program, words),) = ran
    assert program == sys.executable
    assert words[:-1] == ["python3", "-X", "dev", "broker", "server", "-dev-root-token-id"]
    assert os.get_inheritable(int(words[-1].removeprefix("@/dev/fd/")))
    assert dev_token(words[-1], {}) == "t0k"


def test_words_that_nobody_else_sees_are_left_alone(monkeypatch):
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("ran itself anew"))
    keep_out_of_sight(["-dev-root-token-id=t"])  # this process was not started with them


def test_flag_over_file_over_environment(tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    environ = {"VAULT_DEV_ROOT_TOKEN_ID": "v", "BAO_DEV_ROOT_TOKEN_ID": "b"}
    assert dev_token("given", environ) == "given"
    assert dev_token(f"@{tmp_path}/token", environ) == "from-file"
    assert dev_token(None, environ) == "b"
    assert dev_token(None, environ | {"BROKER_DEV_ROOT_TOKEN_ID": "ours"}) == "ours"
    assert dev_token(None, {}) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        dev_token(f"@{tmp_path}/missing", environ)


def test_a_token_longer_than_a_pipe_holds_is_refused(monkeypatch):
    word = "-dev-root-token-id=" + "t" * 5000
    monkeypatch.setattr(sys, "orig_argv", ["python3", "broker", "server", word])
    with pytest.raises(ConfigError, match="at most 4096"):
        keep_out_of_sight([word])
