"""A plugin from somebody else's package is found once it is installed, without a word of it in our code."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from broker.core.plugins import load_catalog
from broker.plugin import hookspecs
from broker.plugin.testing.engine import EngineHarness

PACKAGE = Path(__file__).parents[1] / "thirdparty"


def wheel_of(package, target):
    """Pack a package of plain modules as a build backend would, which the environment may lack.

    Source: the binary distribution format, https://packaging.python.org/specifications/binary-distribution-format/.
    """
    settings = tomllib.loads((package / "pyproject.toml").read_text())
    project = settings["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    points = [
        line
        for group, offers in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{offer} = {module}" for offer, module in offers.items()))
    ]
    files = {
        f"{module}.py": (package / f"{module}.py").read_text()
        for module in settings["tool"]["setuptools"]["py-modules"]
    }
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = "\n".join(points)
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = target / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install the package beside the environment, without asking any index."""
    target = tmp_path_factory.mktemp("site")
    wheel = wheel_of(PACKAGE, tmp_path_factory.mktemp("wheel"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--quiet",
        "--target",
        str(target),
    ]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return target


async def test_an_installed_plugin_shows_up_in_the_catalog_and_works(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    [found] = distributions(path=[str(installed)])
    catalog = load_catalog(found.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP))
    [plugin] = catalog.plugins
    assert (plugin.kind, plugin.name, plugin.package, plugin.version) == (
        "secret",
        "sequence",
        "broker-sequence",
        "1.0.0",
    )
    assert plugin.builtin is False
    kit = EngineHarness(catalog.engines[0])
    assert await kit.update("next/invoice", count="3") == {"first": 1, "last": 3}
