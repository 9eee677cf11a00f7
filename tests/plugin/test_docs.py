"""The page about plugins is run, not only read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from broker.plugin import hookspecs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_engine_of_the_page_passes_the_test_of_the_page(tmp_path):
    engine, test = blocks("python")
    (tmp_path / "broker_sequence.py").write_text(engine)
    (tmp_path / "test_broker_sequence.py").write_text(test)
    settings = ("asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function", "pythonpath = .")
    (tmp_path / "pytest.ini").write_text("\n".join(["[pytest]", *settings, "filterwarnings = error"]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{test.count('async def test_')} passed", done.stdout, re.MULTILINE)


def test_the_package_of_the_page_is_the_one_that_is_installed_in_tests():
    package = ROOT / "tests" / "thirdparty"
    assert blocks("python")[0] == (package / "broker_sequence.py").read_text()
    assert blocks("toml") == [(package / "pyproject.toml").read_text()]


def test_the_engine_is_as_short_as_promised():
    code = [
        line
        for line in blocks("python")[0].splitlines()
        if line.strip() and not line.startswith(('"""', "import", "from"))
    ]
    promised = int(re.search(r"## An engine in (\d+) lines", PAGE)[1])
    assert len(code) <= promised


@pytest.mark.parametrize("hook", [name for name in dir(hookspecs) if name.startswith("register_")])
def test_every_hook_is_on_the_page(hook):
    assert f"| `{hook}` |" in PAGE
