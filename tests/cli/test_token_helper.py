"""A token helper of the user's own keeps the token instead of the file."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from broker.cli.tokenfile import load_token, store_token
from broker.cli.tokenhelper import config_path, find_helper
from broker.plugin.errors import ConfigError
from broker.plugin.secret import Secret
from tests.cli.conftest import BAO

KEEPER = """#!/bin/sh
echo "$@" >> "{folder}/calls"
case "$1" in
  get) cat "{folder}/kept" 2>/dev/null || true ;;
  store) cat > "{folder}/kept" ;;
  *) exit 9 ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "keeper"
    program.write_text(KEEPER.format(folder=tmp_path))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / ".vault").write_text(f'# settings\ntoken_helper = "{program}"\n')
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}


def test_the_helper_keeps_the_token_and_gives_it_back(home, tmp_path):
    assert load_token(home) is None
    store_token(Secret("hvs.mine"), home)
    found = load_token(home)
    assert found is not None
    assert found.reveal() == "hvs.mine"
    assert not (tmp_path / ".vault-token").exists()


def test_the_token_is_never_an_argument(home, tmp_path):
    store_token(Secret("hvs.mine"), home)
    load_token(home)
    assert (tmp_path / "calls").read_text().splitlines() == ["store", "get"]


@pytest.mark.parametrize(
    "text",
    [
        'token_helper "{program}"',
        ' token_helper="{program}" ',
        '{{"token_helper": "{program}"}}',
        '{{\n  "token_helper": "{program}",\n  "x": 1\n}}',
    ],
)
def test_the_settings_may_be_written_in_these_ways(home, tmp_path, text):
    (tmp_path / ".vault").write_text(text.format(program=tmp_path / "keeper"))
    assert find_helper(home) == str(tmp_path / "keeper")


@pytest.mark.parametrize(
    "text", ["", '# token_helper = "/no"', "// token_helper", 'other = "x"', 'token_helper = ""']
)
def test_without_a_helper_the_file_is_used(home, tmp_path, text):
    (tmp_path / ".vault").write_text(text)
    store_token(Secret("hvs.file"), home)
    assert (tmp_path / ".vault-token").read_text() == "hvs.file"


def test_the_settings_may_lie_elsewhere(home, tmp_path):
    other = tmp_path / "other"
    (tmp_path / ".vault").rename(other)
    assert find_helper(home) is None
    for name in ("BROKER_CONFIG_PATH", "VAULT_CONFIG_PATH", "BAO_CONFIG_PATH"):
        assert config_path({**home, name: str(other)}) == other
        assert find_helper({**home, name: str(other)}) == str(tmp_path / "keeper")


@pytest.mark.parametrize(
    "text", ['token_helper = "/no/such/program"', "token_helper = [1]", 'token_helper = "relative-nothing"']
)
def test_a_helper_that_cannot_be_run_is_named(home, tmp_path, text):
    (tmp_path / ".vault").write_text(text)
    with pytest.raises(ConfigError, match="helper"):
        load_token(home)


def test_a_helper_that_fails_is_a_failure_and_shows_nothing_of_the_token(home, tmp_path):
    (tmp_path / "keeper").write_text("#!/bin/sh\ncat\nexit 3\n")
    with pytest.raises(ConfigError, match="exit code 3") as caught:
        store_token(Secret("hvs.mine"), home)
    assert "hvs.mine" not in str(caught.value)


def test_bao_uses_the_same_helper(home, tmp_path):
    store_token(Secret("hvs.mine"), home)
    done = subprocess.run(
        [BAO, "print", "token"],
        env={
            **home,
            "VAULT_CONFIG_PATH": str(tmp_path / ".vault"),
            "BAO_CONFIG_PATH": str(tmp_path / ".vault"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "hvs.mine"
