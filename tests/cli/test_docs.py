"""The examples in docstrings hold, and the page names every command, flag and variable."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import broker.cli
import broker.client
from broker.cli.commands import COMMANDS
from broker.cli.runner import CONNECTION_FLAGS
from broker.client.settings import PREFIXES

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (broker.cli, broker.client)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_names_the_command(name):
    text = PAGE.read_text()
    group, _, last = name.rpartition(" ")
    rows = [
        line for line in text.splitlines() if f"`{group} " in line or f"broker {name}" in line or not group
    ]
    assert any(f"`{last}" in row or f"{name}" in row for row in rows)


def test_the_page_names_the_connection_flags_and_where_settings_come_from():
    text = PAGE.read_text()
    for flag in CONNECTION_FLAGS:
        assert f"`-{flag.name}`" in text or flag.name == "non-interactive"
    for prefix in PREFIXES:
        assert f"`{prefix}*`" in text
