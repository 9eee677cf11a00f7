"""The server's own documentation."""

from __future__ import annotations

from tests.peer.script import GET


def test_help_has_the_shape_that_path_help_reads(pair):
    texts = ("data.help", "data.openapi", "help", "openapi", "data.see_also", "see_also")
    pair.run(
        GET("sys/mounts?help=1", ignore=texts),
        GET("secret/data/x?help=1", ignore=texts),
        GET("auth/token/create?help=1", ignore=texts),
        GET("sys/mounts?help=1", 403, token=None),
        GET("nothing/here?help=1", 404),
    )


def test_the_catalogue_of_plugins(pair):
    pair.run(
        GET(
            "sys/plugins/catalog",
            ignore=("data", "auth", "secret", "database", "detailed", "storage", "seal", "audit"),
        ),
        GET("sys/plugins/catalog", 403, token=None),
    )
