"""KV version 2: metadata, its limits, configuration, listing and scanning."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, LIST, PATCH, POST, PUT, SCAN, WRONG, Differs


@pytest.fixture
def kv2(pair):
    pair.run(POST("sys/mounts/${m}", {"type": "kv-v2"}, 204))
    return pair


def test_configuration_of_the_mount(kv2):
    kv2.run(
        GET("${m}/config"),
        POST("${m}/config", {"max_versions": 5, "delete_version_after": "1h30m"}, 204),
        GET("${m}/config"),
        PUT("${m}/config", {"cas_required": True}, 204),
        GET("${m}/config"),
        POST("${m}/config", {"delete_version_after": "0s"}, 204),
        GET("${m}/config"),
        POST("${m}/config", {"delete_version_after": "-1s"}, 204),
        GET("${m}/config"),
        POST("${m}/config", {}, 204),
        POST("${m}/config", {"max_versions": "x"}, 400),
        POST("${m}/config", {"delete_version_after": "soon"}, 400),
        POST("${m}/config", {"cas_required": "maybe"}, 400),
        GET("${m}/config"),
    )


def test_metadata_of_a_secret(kv2):
    kv2.run(
        GET("${m}/metadata/app", 404),
        POST("${m}/metadata/app", {"max_versions": 3, "custom_metadata": {"owner": "team"}}, 204),
        GET("${m}/metadata/app"),
        GET("${m}/data/app", 404),
        POST("${m}/data/app", {"data": {"v": 1}}),
        GET("${m}/data/app"),
        GET("${m}/metadata/app"),
        POST("${m}/metadata/app", {"delete_version_after": "3h"}, 204),
        GET("${m}/metadata/app"),
        PUT("${m}/metadata/app", {"custom_metadata": {"only": "this"}}, 204),
        GET("${m}/metadata/app"),
        POST("${m}/metadata/app", {}, 204),
        GET("${m}/metadata/app"),
    )


def test_a_version_expires_on_its_own(kv2):
    kv2.run(
        POST("${m}/metadata/app", {"delete_version_after": "1h"}, 204),
        POST("${m}/data/app", {"data": {"v": 1}}),
        GET("${m}/data/app"),
        GET("${m}/metadata/app"),
    )


def test_metadata_fields_are_checked(kv2):
    kv2.run(
        POST("${m}/metadata/app", {"max_versions": "x"}, 400),
        POST("${m}/metadata/app", {"delete_version_after": "soon"}, 400),
        POST("${m}/metadata/app", {"custom_metadata": "x"}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"a": {"b": 1}}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"": "x"}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"a": ""}}, 400),
        GET("${m}/metadata/app", 404),
    )


def test_numbers_in_custom_metadata_become_text(kv2):
    kv2.run(
        POST("${m}/metadata/app", {"custom_metadata": {"a": 1, "b": True}}, 204),
        GET("${m}/metadata/app"),
    )


def test_a_negative_number_of_versions_is_refused(kv2):
    kv2.run(
        POST(
            "${m}/metadata/app",
            {"max_versions": -1},
            204,
            differs=Differs("stricter-input", status=400, body=False),
        )
    )


def test_custom_metadata_has_limits(kv2):
    kv2.run(
        POST("${m}/metadata/app", {"custom_metadata": {f"k{n}": "v" for n in range(64)}}, 204),
        POST("${m}/metadata/app", {"custom_metadata": {f"k{n}": "v" for n in range(65)}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"k" * 128: "v"}}, 204),
        POST("${m}/metadata/app", {"custom_metadata": {"k" * 129: "v"}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"k": "v" * 512}}, 204),
        POST("${m}/metadata/app", {"custom_metadata": {"k": "v" * 513}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"k\n": "v"}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {"k": "v\u0007"}}, 400),
        POST("${m}/metadata/app", {"custom_metadata": {}}, 204),
        GET("${m}/metadata/app"),
    )


def test_patching_metadata(kv2):
    kv2.run(
        PATCH("${m}/metadata/app", {"max_versions": 2}, 404),
        POST("${m}/metadata/app", {"max_versions": 3, "custom_metadata": {"a": "1", "b": "2"}}, 204),
        PATCH("${m}/metadata/app", {"custom_metadata": {"b": None, "c": "3"}}, 204),
        GET("${m}/metadata/app"),
        PATCH("${m}/metadata/app", {"max_versions": 7, "cas_required": True}, 204),
        GET("${m}/metadata/app"),
        PATCH("${m}/metadata/app", {"custom_metadata": None}, 204),
        GET("${m}/metadata/app"),
        PATCH("${m}/metadata/app", {"max_versions": "x"}, 400),
        PATCH("${m}/metadata/app", {"custom_metadata": {"a": {"b": 1}}}, 400),
        PATCH("${m}/metadata/app", {}, 204),
        GET("${m}/metadata/app"),
    )


def test_deleting_metadata_forgets_everything(kv2):
    kv2.run(
        DELETE("${m}/metadata/none", 204),
        POST("${m}/data/app", {"data": {"v": 1}}),
        POST("${m}/data/app", {"data": {"v": 2}}),
        DELETE("${m}/metadata/app", 204),
        GET("${m}/data/app", 404),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/metadata/app", 404),
        LIST("${m}/metadata", 404),
        POST("${m}/data/app", {"data": {"v": 3}}),
        GET("${m}/data/app"),
    )


def test_listing(kv2):
    kv2.run(
        LIST("${m}/metadata", 404),
        LIST("${m}/metadata/", 404),
        *(POST("${m}/data/" + name, {"data": {"v": 1}}) for name in ("a", "b/c", "b/d/e", "b", "Z", "ab")),
        LIST("${m}/metadata"),
        LIST("${m}/metadata/"),
        LIST("${m}/metadata/b"),
        LIST("${m}/metadata/b/"),
        LIST("${m}/metadata//", 307, differs=Differs("no-redirects", status=200, body=False)),
        LIST("${m}/metadata/none", 404),
        GET("${m}/metadata?list=true"),
        GET("${m}/metadata/b?list=true"),
        GET("${m}/metadata/?list=True"),
        DELETE("${m}/data/a", 204),
        LIST("${m}/metadata"),
        LIST("${m}/data", 405, differs=WRONG),
        LIST("${m}", 404),
    )


def test_listing_pages(kv2):
    kv2.run(
        *(POST(f"${{m}}/data/k{n}", {"data": {"v": n}}) for n in range(5)),
        LIST("${m}/metadata?after=k1"),
        LIST("${m}/metadata?after=k1&limit=2"),
        LIST("${m}/metadata?limit=2"),
        LIST("${m}/metadata?after=k2x"),
        LIST("${m}/metadata?after=zz", 404),
        LIST("${m}/metadata?limit=0"),
        LIST("${m}/metadata?limit=-1"),
        LIST("${m}/metadata?limit=x", 400),
        GET("${m}/metadata?list=true&after=k3"),
    )


def test_detailed_listing(kv2):
    kv2.run(
        POST("${m}/data/a", {"data": {"v": 1}}),
        POST("${m}/data/b/c", {"data": {"v": 1}}),
        LIST("${m}/detailed-metadata"),
        LIST("${m}/detailed-metadata/b"),
    )


def test_scanning(kv2):
    kv2.run(
        SCAN("${m}/metadata", ignore="data"),
        *(POST("${m}/data/" + name, {"data": {"v": 1}}) for name in ("a", "b/c", "b/d/e")),
        SCAN("${m}/metadata"),
        SCAN("${m}/metadata/"),
        SCAN("${m}/metadata/b"),
        GET("${m}/metadata?scan=true"),
        SCAN("${m}/metadata?after=a&limit=1", differs=Differs("scans-are-paged", body=False)),
    )
