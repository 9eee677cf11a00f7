"""Which row of the table a path meets."""

import itertools
from dataclasses import dataclass

import pytest

from broker.plugin import Operation, Path, PathTable, UnsupportedPath, Verb


@dataclass(frozen=True)
class Takes:
    path: str = ""
    name: str = ""
    kind: str = ""


async def handler(engine, ctx, args):
    return None


def row(template):
    return Path(template, "A row.", read=Operation(Takes, None, calls=handler))


def listed(template):
    operation = Operation(Takes, None, calls=handler)
    return Path(template, "A row.", read=operation, list=operation)


TEMPLATES = (
    "config",
    "roles/{name}",
    "roles/{name}/{kind}",
    "roles/special",
    "mounts/{path:path}/tune",
    "mounts/{path:path}",
    "data/{path:path}",
    "{path:path}",
)


@pytest.mark.parametrize(
    ("path", "template", "params"),
    [
        ("config", "config", {}),
        ("config/", "{path:path}", {"path": "config/"}),
        ("configs", "{path:path}", {"path": "configs"}),
        ("roles/a", "roles/{name}", {"name": "a"}),
        ("roles/a/", "{path:path}", {"path": "roles/a/"}),
        ("roles/special", "roles/special", {}),
        ("roles/a/b", "roles/{name}/{kind}", {"name": "a", "kind": "b"}),
        ("roles/", "{path:path}", {"path": "roles/"}),
        ("mounts/a/b/tune", "mounts/{path:path}/tune", {"path": "a/b"}),
        ("mounts/a/b", "mounts/{path:path}", {"path": "a/b"}),
        ("mounts/tune", "mounts/{path:path}", {"path": "tune"}),
        ("data/a/", "data/{path:path}", {"path": "a/"}),
        ("data/é\n😀", "data/{path:path}", {"path": "é\n😀"}),
        ("data", "{path:path}", {"path": "data"}),
        ("", "{path:path}", {"path": ""}),
    ],
)
def test_the_most_specific_template_wins(path, template, params):
    found, got = PathTable([row(each) for each in TEMPLATES]).match(path)
    assert (found.template, dict(got)) == (template, params)


def test_a_rest_may_be_empty_where_it_can_be_listed_unless_a_row_of_its_own_stands_for_that():
    below = listed("data/{path:path}")
    assert PathTable([below]).match("data/")[1] == {"path": ""}
    assert PathTable([row("{path:path}")]).match("")[1] == {"path": ""}
    with pytest.raises(UnsupportedPath):
        PathTable([row("data/{path:path}")]).match("data/")
    table = PathTable([below, listed("data")])
    assert [table.match(path)[0].template for path in ("data", "data/", "data/a")] == [
        "data",
        "data",
        "data/{path:path}",
    ]


def test_a_slash_at_the_end_is_another_path_unless_it_can_be_listed():
    """A policy that denies ``config`` says nothing of ``config/``, so the two must not be one thing."""
    assert PathTable([listed("config")]).match("config/")[0].template == "config"
    with pytest.raises(UnsupportedPath):
        PathTable([row("config")]).match("config/")
    with pytest.raises(UnsupportedPath):
        PathTable([row("roles/{name}")]).match("roles/a/")


def test_the_order_of_the_rows_does_not_matter():
    templates = ("roles/{name}", "roles/special", "{path:path}", "roles/{path:path}")
    for order in itertools.permutations(templates):
        table = PathTable([row(each) for each in order])
        assert [table.match(path)[0].template for path in ("roles/a", "roles/special", "roles/a/b", "x")] == [
            "roles/{name}",
            "roles/special",
            "roles/{path:path}",
            "{path:path}",
        ]


def test_a_path_that_meets_no_row_is_unsupported():
    table = PathTable([row("roles/{name}")])
    for path in ("", "roles", "roles/", "roles//", "roles/a/b", "xroles/a"):
        with pytest.raises(UnsupportedPath):
            table.match(path)


def test_a_template_is_no_regular_expression():
    table = PathTable([row("a.b+c")])
    assert table.match("a.b+c")[0].template == "a.b+c"
    with pytest.raises(UnsupportedPath):
        table.match("aXbbc")


def test_a_template_given_twice_is_a_mistake_found_at_start():
    with pytest.raises(TypeError, match=r"path given twice: roles/\{name\}"):
        PathTable([row("roles/{name}"), row("roles/{name}")])


def test_a_parameter_nobody_takes_is_a_mistake_found_at_start():
    with pytest.raises(TypeError, match="arguments lack path parameter role"):
        row("roles/{role}")


def test_a_row_offers_exactly_the_verbs_it_was_given():
    operation = Operation(Takes, None, calls=handler)
    path = Path("x", "A row.", read=operation, list=operation)
    assert set(path.operations) == {Verb.READ, Verb.LIST}
