"""What a stanza asks of a plugin is looked at before the server starts; a mistake has its file and line."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from broker_plugins.storage.sqlite import SqliteBackend

from broker.plugin.errors import ConfigError
from broker.server.compose import prepare, seal_to_leave
from broker.server.config import load_config
from broker.server.preflight import preflight

HEAD = 'listener "tcp" { tls_disable = true }\n'
INMEM = 'storage "inmem" {}\n'


@pytest.fixture
def start(tmp_path):
    """Go as far as a server does before it forks."""

    def run(text):
        file = tmp_path / "broker.hcl"
        file.write_text(HEAD + text)
        shared = prepare(load_config([file]))
        return preflight(lambda: seal_to_leave(shared))

    return run


def audit(*options):
    lines = "".join(f"    {option}\n" for option in options)
    return f'{INMEM}audit "file" "x" {{\n  options {{\n{lines}  }}\n}}\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('storage "foo" {}\n', 2, 'storage "foo" is unknown; storage backends: inmem, sqlite'),
        ('storage "sqlite" {\n}\n', 2, "path is missing"),
        ('storage "sqlite" {\n  path = 3\n}\n', 3, "expected path to be a string"),
        ('storage "sqlite" {\n  path = "x"\n  colour = 1\n}\n', 4, "unknown setting 'colour'"),
        ('storage "sqlite" {\n  path = "x"\n  migrate = 7\n}\n', 4, "migrate is true or false"),
        ('storage "inmem" {\n  path = "x"\n}\n', 3, "unknown setting 'path'"),
        ('storage "sqlite" {\n  path = "/proc/nope"\n}\n', 3, "/proc/nope cannot be used"),
        ('storage "sqlite" {\n  path = "/dev/null"\n}\n', 3, "/dev/null cannot be used"),
        (INMEM + 'seal "foo" {}\n', 3, 'seal "foo" is unknown'),
        (INMEM + 'audit "foo" "x" {}\n', 3, 'audit device "foo" is unknown; audit devices: file'),
        (INMEM + 'audit "file" "x" {}\n', 3, "file_path is required"),
        (audit('file_path = "relative.log"'), 5, "must be an absolute path"),
        (audit('path = "relative.log"'), 5, "must be an absolute path"),
        (audit('file_path = "discard"', 'prefix = "x"'), 6, "prefixing is not allowed"),
        (audit('file_path = "discard"', 'prefx = "x"'), 6, 'unknown option "prefx"'),
        (audit('file_path = "discard"', 'log_raw = "perhaps"'), 6, 'parsing "perhaps"'),
        (audit('file_path = "discard"', 'mode = "0777"'), 6, "mode 0777 is too wide"),
        (audit('file_path = "/nonexistent/dir/aa.log"'), 5, "there is no folder /nonexistent/dir"),
        (audit('file_path = "/dev/full"'), 5, "/dev/full is not a regular file"),
    ],
)
def test_a_stanza_that_is_no_good_stops_the_server_with_its_place(start, tmp_path, text, line, said):
    with pytest.raises(ConfigError) as caught:
        start(text)
    assert str(caught.value).startswith(f"{tmp_path / 'broker.hcl'}:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_looked_at_is_not_written(start, tmp_path):
    log = tmp_path / "audit.log"
    assert start(audit(f'file_path = "{log}"')) == ""
    assert not log.exists()
    log.write_text("kept")
    assert start(audit(f'file_path = "{log}"')) == ""
    assert log.read_text() == "kept"


@pytest.fixture
def store(tmp_path):
    """A root store, and the stanza that leads to it."""

    async def make():
        backend = SqliteBackend(str(tmp_path / "data"))
        await backend.open("root", create=True)
        await backend.close()

    asyncio.run(make())
    return f'storage "sqlite" {{\n  path = "{tmp_path / "data"}"\n}}\n'


def set_format(tmp_path, number):
    with closing(sqlite3.connect(tmp_path / "data" / "root.db", isolation_level=None)) as base:
        base.execute("UPDATE header SET value = ? WHERE name = 'format'", (number,))


def test_a_store_of_another_format_stops_the_server(start, store, tmp_path):
    assert start(store) == ""
    for number, said in (
        ("99", "written by a newer version; this one reads format 2"),
        ("1", "migrate = true"),
    ):
        set_format(tmp_path, number)
        with pytest.raises(ConfigError, match=rf"broker\.hcl:2: .* has format {number}, .*{said}"):
            start(store)


def test_a_store_that_does_not_exist_yet_is_fine_and_its_folder_is_made(start, tmp_path):
    assert start(f'storage "sqlite" {{\n  path = "{tmp_path / "a" / "b"}"\n}}\n') == ""
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
