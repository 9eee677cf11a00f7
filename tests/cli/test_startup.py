"""Starting fast, and saying what there is."""

import shutil
import subprocess
import sys

import pytest

from broker.cli.commands import COMMANDS, GROUPS, children
from broker.cli.completion import words_after

HEAVY = {
    "requests",
    "rich",
    "prompt_toolkit",
    "cryptography",
    "nacl",
    "msgspec",
    "yaml",
    "segno",
    "shamir_mnemonic",
}
HEAVY |= {"argparse", "urllib3", "ssl", "asyncio", "pluggy", "falcon", "gunicorn", "broker.plugin"}


def imported(*args: str) -> set[str]:
    """What ``broker ARGS`` has imported when it ends."""
    code = f"""
import sys
sys.argv = ["broker", *{list(args)!r}]
from broker.cli.main import main
try:
    main()
finally:
    print("\\n".join(sys.modules), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("args", [("-h",), ("--help",), ("kv", "-h"), ("nonsense",), ()])
def test_help_imports_nothing_heavy(args):
    modules = imported(*args)
    assert "broker.cli.main" in modules
    assert not modules & HEAVY


def test_a_commands_help_imports_no_http_library():
    modules = imported("audit", "verify", "-h")
    assert "broker.cli.audit" in modules
    assert not modules & {"requests", "rich", "prompt_toolkit", "cryptography"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"server"}))
def test_every_command_has_help_and_flags_that_complete(name, capsys):
    from broker.cli.main import main

    assert main([*name.split(), "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: broker ")
    for flag in words_after(name):
        assert f"  {flag}" in text


def test_every_group_lists_its_commands():
    for group in GROUPS:
        assert children(group)
    reachable = {name for name in COMMANDS if " " not in name or name.rpartition(" ")[0] in GROUPS}
    assert reachable == set(COMMANDS)


def test_unknown_commands_exit_127_at_the_top_and_1_below(dev):
    assert dev.broker("nonsense").code == dev.bao("nonsense").code == 127
    assert dev.broker("operator", "nonsense").code == dev.bao("operator", "nonsense").code == 1
    assert dev.broker("operator").code == dev.bao("operator").code == 1
    assert dev.broker("-h").code == dev.bao("-h").code == 0
    assert "unknown command: operator nonsense" in dev.broker("operator", "nonsense").err


SHELLS = ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_name_every_command(shell, capsys):
    script = completion_of(shell, capsys)
    for name in COMMANDS:
        assert name.split()[-1] in script


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_are_read_by_their_shell(shell, capsys, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here; the project's own checks install it")
    script = tmp_path / "completion"
    script.write_text(completion_of(shell, capsys))
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    script.write_text(script.read_text() + "\nif true; then (\n")
    assert subprocess.run([shell, "-n", script], capture_output=True, check=False).returncode != 0


def completion_of(shell: str, capsys) -> str:
    from broker.cli.main import main

    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_bash_completes_subcommands_and_flags(dev):
    script = dev.broker("completion", "bash").out
    for line, wanted in [
        ("broker kv me", "metadata"),
        ("broker kv get -ver", "-version="),
        ("broker sta", "status"),
    ]:
        words = line.split()
        probe = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _broker; echo ${{COMPREPLY[@]}}"
        found = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
        assert wanted in found.stdout.split()


def test_output_into_a_closed_pipe_is_no_traceback(dev):
    line = (
        f"{sys.executable} -m broker.cli.main completion bash | head -c1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
