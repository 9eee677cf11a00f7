"""Random bytes and hashes."""

from __future__ import annotations

import base64
import hashlib

import pytest


def test_random_bytes_come_in_the_length_and_form_asked_for(api):
    assert len(base64.b64decode(api.data("PUT", "sys/tools/random", {})["random_bytes"])) == 32
    assert len(bytes.fromhex(api.data("PUT", "sys/tools/random/16", {"format": "hex"})["random_bytes"])) == 16
    path = "sys/tools/random/platform/24"
    assert len(base64.b64decode(api.data("POST", path)["random_bytes"])) == 24
    assert api.data("PUT", "sys/tools/random", {}) != api.data("PUT", "sys/tools/random", {})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("random", {"bytes": 0}),
        ("random", {"bytes": 131_073}),
        ("random/x", {}),
        ("random/dice/16", {}),
        ("random", {"format": "octal"}),
        ("hash", {"input": "$$"}),
        ("hash/md5", {"input": "YWJj"}),
        ("hash", {"input": "YWJj", "format": "octal"}),
    ],
)
def test_what_makes_no_sense_is_refused(api, path, body):
    assert api.ask("PUT", f"sys/tools/{path}", body).status == 400


@pytest.mark.parametrize("name", ["sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-256", "sha3-512"])
def test_hashes_are_those_of_the_standard_library(api, name):
    wanted = hashlib.new(name.replace("sha2-", "sha").replace("sha3-", "sha3_"), b"abc").digest()
    body = {"input": base64.b64encode(b"abc").decode()}
    assert api.data("PUT", f"sys/tools/hash/{name}", body) == {"sum": wanted.hex()}
    body |= {"algorithm": name, "format": "base64"}
    assert api.data("PUT", "sys/tools/hash", body) == {"sum": base64.b64encode(wanted).decode()}
