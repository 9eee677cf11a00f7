"""A look at the store before the server starts: what it finds stops the server, what keeps it from looking does not."""

import asyncio
import os

import pytest

from broker.plugin.errors import ConfigError, Unavailable
from broker.server.preflight import preflight


def test_what_was_found_comes_back_from_another_process(tmp_path):
    async def look():
        (tmp_path / "pid").write_text(str(os.getpid()))
        return "shamir"

    assert preflight(look) == "shamir"
    assert (tmp_path / "pid").read_text() != str(os.getpid())


def test_a_configuration_that_does_not_fit_is_told():
    async def look():
        raise ConfigError("the storage is sealed by another seal")

    with pytest.raises(ConfigError, match="sealed by another seal"):
        preflight(look)


@pytest.mark.parametrize("error", [Unavailable("down"), OSError("gone"), RuntimeError("a mistake of ours")])
def test_what_keeps_it_from_looking_is_left_to_the_workers(error):
    async def look():
        raise error

    assert preflight(look) == ""


def test_a_store_that_does_not_answer_holds_up_nobody():
    async def look():
        await asyncio.Event().wait()
        return "never"

    assert preflight(look, patience=0.05) == ""
