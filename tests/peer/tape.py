"""Answers of a peer that is not at hand, recorded once and played back.

OpenBao serves LDAP up to 2.6; from 2.7 on, which the other pairs run against, it does not. So what 2.6.2 answered is kept
in ``recorded/``, and the pairs compare with that. To record anew, with any server of that kind::

    PEER_RECORD=/path/to/bao python -m pytest tests/peer/test_ldap.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.peer.client import Client, Reply
from tests.peer.compare import COMPARED_HEADERS
from tests.peer.script import fill

KEPT_HEADERS = (*COMPARED_HEADERS, "date")


class Tape:
    """The recorded answers of one file, by test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}

    def save(self) -> None:
        self.path.write_text(json.dumps(self.answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


class Recording(Client):
    """A live peer, whose answers to one test are kept. ``names`` stand in for what differs from run to run."""

    def __init__(self, address: str, tape: Tape, test: str, names: Mapping[str, str]) -> None:
        super().__init__(address)
        self._kept: list[dict[str, Any]] = []
        self._names = names
        tape.answers[test] = self._kept

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        reply = super().send(method, target, headers, body)
        kept = {name: value for name, value in reply.headers.items() if name in KEPT_HEADERS}
        answer = {"status": reply.status, "headers": kept, "body": _general(reply.body, self._names)}
        self._kept.append({"request": f"{method} {_general(target, self._names)}", **answer})
        return reply


class Playing:
    """The recorded peer: gives the answers of one test in their order."""

    def __init__(self, tape: Tape, test: str, names: Mapping[str, str]) -> None:
        self._left = iter(tape.answers.get(test, ()))
        self._names = names

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        answer = next(self._left, None)
        assert answer is not None, (
            "nothing more was recorded of this test: record it anew (tests/peer/tape.py)"
        )
        asked = f"{method} {_general(target, self._names)}"
        assert answer["request"] == asked, (
            f"recorded was {answer['request']}, not {asked}: record the test anew"
        )
        filled = fill(answer["body"], self._names)
        raw = b"" if filled is None else json.dumps(filled).encode()
        return Reply(answer["status"], answer["headers"], filled, raw)

    def close(self) -> None:
        return None


def _general(value: Any, names: Mapping[str, str]) -> Any:
    """Put ``${name}`` for what differs from run to run."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(text, f"${{{name}}}")
        return value
    if isinstance(value, dict):
        return {key: _general(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_general(item, names) for item in value]
    return value
