"""Scripts of requests: what is sent, what is remembered from the answer, and what may differ.

A script is a list of steps. Text may hold ``${name}``, filled from what earlier steps saved; ``${m}`` is a word of
this test's own, for mounts, policies and namespaces that no other test touches. A step names the status that the
real OpenBao answers with (any 2xx if it names none), so a script that has stopped meaning anything fails by itself.

    GET("${m}/data/app", 404)
    POST("auth/token/create", {"ttl": "1h"}, save={"child": "auth.client_token"})
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from string import Template
from typing import Any

SCRIPT_TOKEN = "${root}"


@dataclass(frozen=True)
class Differs:
    """A difference we allow, by its key in ``differences.py`` and ``docs/compatibility.md``.

    ``status`` is what ours must answer (one of them, if several; None: the same as the peer). ``ignore`` names dotted paths in the body that
    are not compared; ``body=False`` leaves the whole body out.
    """

    key: str
    status: int | tuple[int, ...] | None = None
    body: bool = True
    ignore: tuple[str, ...] = ()


# A path or a verb that is not there: clients see an error, and none was seen to care which.
WRONG = Differs("wrong-path-or-verb", status=(400, 404, 405), body=False)


@dataclass(frozen=True)
class Step:
    """One request. ``body`` is JSON (or bytes, sent as they are); ``token`` None sends no token at all.

    ``only`` compares just these dotted paths of the answer's body. ``mine`` names lists of names in the body that
    are cut down to this test's own (those beginning with ``${m}``) before they are compared.
    """

    method: str
    path: str
    body: Any = None
    status: int | None = None
    token: str | None = SCRIPT_TOKEN
    namespace: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    save: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    mine: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    differs: Differs | None = None

    def __str__(self) -> str:
        body = "" if self.body is None else f" {self.body!r}"
        return f"{self.method} {self.path}{body if len(body) < 120 else body[:117] + '...'}"


@dataclass(frozen=True)
class Compute:
    """No request: a function of the saved names, whose result is saved (to decode an OTP, to join shares)."""

    name: str
    function: Callable[[dict[str, Any]], Any]


def _verb(method: str) -> Callable[..., Step]:
    def build(path: str, *rest: Any, **options: Any) -> Step:
        status = None
        body = None
        for item in rest:
            if isinstance(item, int) and not isinstance(item, bool):
                status = item
            else:
                body = item
        for name in ("only", "mine", "ignore"):
            if isinstance(options.get(name), str):
                options[name] = (options[name],)
        return Step(method, path, body, status, **options)

    build.__doc__ = f"A {method} step: path, then a body and the peer's status, in any order, each if needed."
    return build


GET, POST, PUT, LIST, DELETE, PATCH, SCAN, HEAD = map(
    _verb, ("GET", "POST", "PUT", "LIST", "DELETE", "PATCH", "SCAN", "HEAD")
)


def fill(value: Any, names: Mapping[str, Any]) -> Any:
    """Replace ``${name}`` in every string of a JSON value; a string that is just one name keeps the value's type."""
    if isinstance(value, str):
        if value.startswith("${") and value.endswith("}") and value[2:-1] in names:
            return names[value[2:-1]]
        return Template(value).safe_substitute(names)
    if isinstance(value, bytes):
        return Template(value.decode("latin-1")).safe_substitute(names).encode("latin-1")
    if isinstance(value, dict):
        return {fill(k, names): fill(v, names) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(fill(item, names) for item in value)
    return value


def filled(step: Step, names: Mapping[str, Any]) -> Step:
    """The step with every ``${name}`` replaced."""
    parts = ("path", "body", "token", "namespace", "headers", "only", "mine", "ignore")
    return replace(step, **{part: fill(getattr(step, part), names) for part in parts})


def wire(step: Step) -> tuple[str, str, dict[str, str], bytes | None]:
    """The request as it goes out: method, target, headers, bytes."""
    headers = dict(step.headers)
    if step.token is not None:
        headers.setdefault("X-Vault-Token", step.token)
    if step.namespace is not None:
        headers.setdefault("X-Vault-Namespace", step.namespace)
    if step.body is None:
        body = None
    elif isinstance(step.body, bytes):
        body = step.body
    else:
        body = json.dumps(step.body).encode()
        json_kind = "application/merge-patch+json" if step.method == "PATCH" else "application/json"
        headers.setdefault("Content-Type", json_kind)
    target = step.path if step.path.startswith(("/", "http")) else f"/v1/{step.path}"
    return step.method, target, headers, body


def pick(body: Any, dotted: str) -> Any:
    """The value at a dotted path (``data.keys.0``); KeyError, IndexError or TypeError if it is not there."""
    for part in dotted.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def root_token_of(names: dict[str, str]) -> str:
    """What ``sys/generate-root`` made, from the saved ``encoded`` and ``otp``."""
    encoded = names["encoded"] + "=" * (-len(names["encoded"]) % 4)
    mixed = zip(base64.b64decode(encoded), names["otp"].encode(), strict=True)
    return bytes(a ^ b for a, b in mixed).decode()
