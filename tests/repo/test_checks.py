"""The repository keeps its own rules."""

from __future__ import annotations

import pytest

from contrib import checks


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_the_repository_keeps(check):
    assert list(check(checks.ROOT)) == []


def test_a_long_file_is_noticed(tmp_path):
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "big.py").write_text("x = 1\n" * (checks.MAX_LINES + 1))
    assert [complaint.split()[0] for complaint in checks.long_files(tmp_path)] == ["broker/big.py"]


def test_a_folder_that_would_not_be_installed_is_noticed(tmp_path):
    (tmp_path / "broker" / "forgotten").mkdir(parents=True)
    for folder in ("broker", "broker/forgotten"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.setuptools]\npackage-dir = { broker = "broker" }\npackages = ["broker"]\n'
    )
    (complaint,) = checks.missing_packages(tmp_path)
    assert complaint.startswith("broker.forgotten is not in")


def test_a_machine_path_is_noticed(tmp_path):
    (tmp_path / "notes.md").write_text("fine\nsee /" + "work/main\n")
    (complaint,) = checks.machine_traces(tmp_path)
    assert complaint.startswith("notes.md:2 ")


@pytest.mark.parametrize(
    "said", ["GPL-3.0-or-later", "License :: OSI Approved :: GNU General Public License v2", ""]
)
def test_a_licence_we_cannot_carry_is_refused(said):
    assert checks.REFUSED_LICENCES.search(said) or not checks.ALLOWED_LICENCES.search(said)
