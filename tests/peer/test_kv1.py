"""KV version 1: whole values, no versions."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, PATCH, POST, PUT, SCAN, Differs

PAGED = Differs("kv1-lists-are-paged", body=False)


@pytest.fixture
def kv1(pair):
    pair.run(POST("sys/mounts/${m}", {"type": "kv"}, 204))
    return pair


def test_write_read_overwrite_delete(kv1):
    kv1.run(
        GET("${m}/app", 404),
        POST("${m}/app", {"user": "app", "n": 1, "deep": {"a": [1, None, True]}}, 204),
        GET("${m}/app"),
        PUT("${m}/app", {"user": "other"}, 204),
        GET("${m}/app"),
        DELETE("${m}/app", 204),
        GET("${m}/app", 404),
        DELETE("${m}/app", 204),
    )


def test_a_ttl_in_the_value_becomes_the_lease_duration(kv1):
    kv1.run(
        POST("${m}/short", {"v": 1, "ttl": "90s"}, 204),
        GET("${m}/short", ignore=("lease_duration",)),
        POST("${m}/numeric", {"v": 1, "ttl": 120}, 204),
        GET("${m}/numeric"),
        POST("${m}/lease", {"v": 1, "lease": "2m"}, 204),
        GET("${m}/lease"),
        POST("${m}/nonsense", {"v": 1, "ttl": "soon"}, 204),
        GET("${m}/nonsense"),
    )


def test_numbers_and_text_come_back_as_they_were(kv1):
    kv1.run(
        POST(
            "${m}/types",
            b'{"int": 12345678901234567890, "f": 1.10, "e": "\\u00fc\\u2028", "html": "<a&b>"}',
            204,
        ),
        GET("${m}/types"),
        POST("${m}/empty-key", {"": "x"}, 204),
        GET("${m}/empty-key"),
    )


def test_an_empty_write_is_refused(kv1):
    kv1.run(
        POST("${m}/none", {}, 400),
        POST("${m}/none", 400),
        POST("${m}/none", b"", 400),
        GET("${m}/none", 404),
    )


def test_list_shows_names_and_folders(kv1):
    kv1.run(
        LIST("${m}", 404),
        LIST("${m}/", 404),
        POST("${m}/a", {"x": 1}, 204),
        POST("${m}/b/c", {"x": 1}, 204),
        POST("${m}/b/d/e", {"x": 1}, 204),
        POST("${m}/b", {"x": 1}, 204),
        LIST("${m}"),
        LIST("${m}/"),
        LIST("${m}/b"),
        LIST("${m}/b/"),
        LIST("${m}/b/d"),
        LIST("${m}/nothing", 404),
        GET("${m}/b?list=true"),
        GET("${m}/b/?list=true"),
        GET("${m}/?list=1"),
        GET("${m}/b?list=false", ignore="warnings"),
        GET("${m}/b/", 404),
    )


def test_list_pages_behind_a_name(kv1):
    kv1.run(
        *(POST(f"${{m}}/k{n}", {"x": n}, 204) for n in range(5)),
        LIST("${m}?after=k1", differs=PAGED),
        LIST("${m}?after=k1&limit=2", differs=PAGED),
        LIST("${m}?limit=1", differs=PAGED),
        LIST("${m}", 200),
    )


def test_scan_walks_the_whole_tree(kv1):
    kv1.run(
        SCAN("${m}", ignore="data"),
        POST("${m}/a", {"x": 1}, 204),
        POST("${m}/b/c", {"x": 1}, 204),
        POST("${m}/b/d/e", {"x": 1}, 204),
        SCAN("${m}"),
        SCAN("${m}/"),
        SCAN("${m}/b"),
        GET("${m}/b?scan=true"),
        SCAN("${m}?after=a&limit=1", differs=PAGED),
    )


def test_patch_is_not_part_of_version_1(kv1):
    kv1.run(
        POST("${m}/app", {"x": 1}, 204),
        PATCH("${m}/app", {"y": 1}, 405),
    )


def test_the_mount_itself_cannot_be_written(kv1):
    kv1.run(
        POST("${m}", {"x": 1}, 400),
        POST("${m}/", {"x": 1}, 400),
        GET("${m}", 404),
        GET("${m}/", 404),
        POST("${m}/trailing/", {"x": 1}, 400),
    )


def test_an_upgrade_to_version_2_keeps_the_values(kv1):
    kv1.run(
        POST("${m}/app", {"x": 1}, 204),
        POST("sys/mounts/${m}/tune", {"options": {"version": "2"}}, 200, ignore="warnings"),
        GET("sys/mounts/${m}/tune", only="data.options"),
    )
