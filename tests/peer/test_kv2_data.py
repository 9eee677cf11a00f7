"""KV version 2: versions, check-and-set, patch, subkeys, delete, undelete, destroy."""

from __future__ import annotations

import pytest

from tests.peer.script import DELETE, GET, PATCH, POST, PUT, Differs


@pytest.fixture
def kv2(pair):
    pair.run(POST("sys/mounts/${m}", {"type": "kv", "options": {"version": "2"}}, 204))
    return pair


def test_write_and_read_versions(kv2):
    kv2.run(
        GET("${m}/data/app", 404),
        POST("${m}/data/app", {"data": {"user": "app", "n": 1}}),
        GET("${m}/data/app"),
        PUT("${m}/data/app", {"data": {"user": "two"}}),
        GET("${m}/data/app"),
        GET("${m}/data/app?version=1"),
        GET("${m}/data/app?version=0"),
        GET("${m}/data/app?version=2"),
        GET("${m}/data/app?version=3", 404),
        GET("${m}/data/app?version=-1", differs=Differs("stricter-input", status=400, body=False)),
        GET("${m}/data/app?version=x", 400),
        GET("${m}/data/a/b/c", 404),
    )


def test_values_of_every_json_type_come_back(kv2):
    kv2.run(
        POST(
            "${m}/data/types",
            {"data": {"null": None, "t": True, "n": 0, "f": 0.5, "l": [1, {"a": []}], "o": {}}},
        ),
        GET("${m}/data/types"),
        POST("${m}/data/big", b'{"data": {"n": 12345678901234567890123, "f": 1.10}}'),
        GET("${m}/data/big", differs=Differs("exact-numbers", ignore=("data.data.n",))),
        POST("${m}/data/empty", {"data": {}}),
        GET("${m}/data/empty"),
        POST("${m}/data/html", {"data": {"h": "<a href='x'>&\u2028\u00fc"}}),
        GET("${m}/data/html"),
    )


def test_a_write_without_data_is_refused(kv2):
    kv2.run(
        POST("${m}/data/app", {}, 400),
        POST("${m}/data/app", 400),
        POST("${m}/data/app", {"user": "app"}, 400),
        POST("${m}/data/app", {"data": "text"}, 400),
        POST("${m}/data/app", {"data": [1]}, 400),
        POST("${m}/data/app", {"data": 1}, 400),
        GET("${m}/data/app", 404),
        GET("${m}/metadata/app", 404),
    )


def test_a_null_value_is_refused(kv2):
    kv2.run(POST("${m}/data/null", {"data": None}, differs=Differs("stricter-input", status=400, body=False)))


def test_check_and_set(kv2):
    kv2.run(
        POST("${m}/data/app", {"data": {"v": 1}, "options": {"cas": 1}}, 400),
        POST("${m}/data/app", {"data": {"v": 1}, "options": {"cas": 0}}),
        POST("${m}/data/app", {"data": {"v": 2}, "options": {"cas": 0}}, 400),
        POST("${m}/data/app", {"data": {"v": 2}, "options": {"cas": 1}}),
        POST("${m}/data/app", {"data": {"v": 3}, "options": {"cas": "2"}}),
        POST("${m}/data/app", {"data": {"v": 4}, "options": {"cas": "x"}}, 400),
        POST("${m}/data/app", {"data": {"v": 4}, "options": {"cas": -1}}, 400),
        POST("${m}/data/app", {"data": {"v": 4}, "options": {}}),
        POST("${m}/data/app", {"data": {"v": 5}, "options": None}),
        POST("${m}/data/app", {"data": {"v": 5}, "options": "x"}, 400),
        GET("${m}/data/app"),
    )


def test_check_and_set_can_be_required_by_the_mount(kv2):
    kv2.run(
        POST("${m}/config", {"cas_required": True}, 204),
        GET("${m}/config"),
        POST("${m}/data/app", {"data": {"v": 1}}, 400),
        POST("${m}/data/app", {"data": {"v": 1}, "options": {"cas": 0}}),
        PATCH("${m}/data/app", {"data": {"w": 1}}, 400),
        PATCH("${m}/data/app", {"data": {"w": 1}, "options": {"cas": 1}}),
        GET("${m}/data/app"),
    )


def test_check_and_set_can_be_required_by_the_secret(kv2):
    kv2.run(
        POST("${m}/metadata/app", {"cas_required": True}, 204),
        POST("${m}/data/app", {"data": {"v": 1}}, 400),
        POST("${m}/data/app", {"data": {"v": 1}, "options": {"cas": 0}}),
        POST("${m}/data/other", {"data": {"v": 1}}),
    )


def test_patch_merges(kv2):
    kv2.run(
        PATCH("${m}/data/app", {"data": {"a": 1}}, 404),
        POST("${m}/data/app", {"data": {"a": 1, "b": {"c": 1, "d": 2}, "l": [1, 2]}}),
        PATCH("${m}/data/app", {"data": {"b": {"c": 9}, "e": "new"}}),
        GET("${m}/data/app"),
        PATCH("${m}/data/app", {"data": {"a": None, "l": [3], "b": {"d": None}}}),
        GET("${m}/data/app"),
        PATCH("${m}/data/app", {"data": {"x": 1}, "options": {"cas": 1}}, 400),
        PATCH("${m}/data/app", {"data": {"x": 1}, "options": {"cas": 3}}),
        PATCH("${m}/data/app", {"data": {}}),
        PATCH("${m}/data/app", {}, 400),
        PATCH("${m}/data/app", {"data": "x"}, 400),
        GET("${m}/data/app"),
    )


def test_patch_wants_its_own_content_type(kv2):
    kv2.run(
        POST("${m}/data/app", {"data": {"a": 1}}),
        PATCH("${m}/data/app", {"data": {"b": 1}}, 415, headers={"Content-Type": "application/json"}),
        PATCH("${m}/data/app", {"data": {"b": 1}}, 415, headers={"Content-Type": "text/plain"}),
        PATCH("${m}/data/app", b'{"data":{"b":1}}', 400),
        GET("${m}/data/app"),
    )


def test_patch_of_a_deleted_version_is_not_found(kv2):
    kv2.run(
        POST("${m}/data/app", {"data": {"a": 1}}),
        DELETE("${m}/data/app", 204),
        PATCH("${m}/data/app", {"data": {"b": 1}}, 404),
        POST("${m}/undelete/app", {"versions": [1]}, 204),
        PATCH("${m}/data/app", {"data": {"b": 1}}),
        POST("${m}/destroy/app", {"versions": [2]}, 204),
        PATCH("${m}/data/app", {"data": {"c": 1}}, 404),
    )


def test_subkeys_show_structure_without_values(kv2):
    kv2.run(
        GET("${m}/subkeys/app", 404),
        POST("${m}/data/app", {"data": {"a": 1, "b": {"c": {"d": 1}, "e": {}}, "l": [{"x": 1}], "n": None}}),
        GET("${m}/subkeys/app"),
        GET("${m}/subkeys/app?depth=1"),
        GET("${m}/subkeys/app?depth=2"),
        GET("${m}/subkeys/app?depth=0"),
        GET("${m}/subkeys/app?depth=-1", differs=Differs("stricter-input", status=400, body=False)),
        GET("${m}/subkeys/app?depth=x", 400),
        POST("${m}/data/app", {"data": {"z": 1}}),
        GET("${m}/subkeys/app?version=1"),
        GET("${m}/subkeys/app?version=9", 404),
        DELETE("${m}/data/app", 204),
        GET("${m}/subkeys/app", 404),
        POST("${m}/subkeys/app", {"x": 1}, 405),
    )


def test_deleting_the_latest_version(kv2):
    kv2.run(
        DELETE("${m}/data/none", 204),
        POST("${m}/data/app", {"data": {"v": 1}}),
        DELETE("${m}/data/app", 204),
        GET("${m}/data/app", 404),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/metadata/app"),
        DELETE("${m}/data/app", 204),
        POST("${m}/data/app", {"data": {"v": 2}}),
        GET("${m}/data/app"),
        GET("${m}/data/app?version=1", 404),
    )


def test_delete_undelete_and_destroy_by_version(kv2):
    kv2.run(
        *(POST("${m}/data/app", {"data": {"v": n}}) for n in range(1, 4)),
        POST("${m}/delete/app", {"versions": [1, 2]}, 204),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/data/app?version=3"),
        GET("${m}/metadata/app"),
        POST("${m}/undelete/app", {"versions": [1]}, 204),
        GET("${m}/data/app?version=1"),
        PUT("${m}/destroy/app", {"versions": [1, 3]}, 204),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/data/app", 404),
        POST("${m}/undelete/app", {"versions": [1, 2]}, 204),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/data/app?version=2"),
        GET("${m}/metadata/app"),
    )


@pytest.mark.parametrize("action", ["delete", "undelete", "destroy"])
def test_version_lists_are_checked(kv2, action):
    kv2.run(
        POST(f"${{m}}/{action}/none", {"versions": [1]}, 204),
        POST("${m}/data/app", {"data": {"v": 1}}),
        POST(f"${{m}}/{action}/app", {}, 400),
        POST(f"${{m}}/{action}/app", {"versions": []}, 400),
        POST(f"${{m}}/{action}/app", {"versions": ["x"]}, 400),
        POST(f"${{m}}/{action}/app", {"versions": [9]}, 204),
        POST(f"${{m}}/{action}/app", {"versions": "1"}, 204),
        GET("${m}/metadata/app"),
    )


def test_unknown_paths_and_verbs_below_the_mount(kv2):
    kv2.run(
        GET("${m}/nothing/app", 404),
        POST("${m}/nothing/app", {"a": 1}, 404),
        GET("${m}", 404),
        GET("${m}/", 404),
        GET("${m}/data", 404),
        GET("${m}/data/", 404),
        POST("${m}/data/", {"data": {"a": 1}}, 400),
        GET("${m}/delete/app", 405),
        GET("${m}/destroy/app", 405),
        DELETE("${m}/config", 405),
    )


def test_names_with_odd_characters(kv2):
    kv2.run(
        *(
            step
            for name in (
                "with%20space",
                "dots..inside",
                "plus+sign",
                "%C3%BCmlaut",
                "per%25cent",
                "colon:x",
                "a@b",
            )
            for step in (POST("${m}/data/" + name, {"data": {"v": 1}}), GET("${m}/data/" + name))
        ),
        GET("${m}/metadata/?list=true"),
    )


def test_old_versions_fall_off(kv2):
    kv2.run(
        POST("${m}/config", {"max_versions": 2}, 204),
        *(POST("${m}/data/app", {"data": {"v": n}}) for n in range(1, 5)),
        GET("${m}/data/app?version=1", 404),
        GET("${m}/data/app?version=2", 404),
        GET("${m}/data/app?version=3"),
        GET("${m}/metadata/app"),
    )


def test_ten_versions_are_kept_by_default(kv2):
    kv2.run(
        *(POST("${m}/data/app", {"data": {"v": n}}) for n in range(1, 13)),
        GET("${m}/data/app?version=2", 404),
        GET("${m}/data/app?version=3"),
        GET("${m}/metadata/app", only=("data.current_version", "data.oldest_version", "data.max_versions")),
    )
