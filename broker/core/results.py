"""What a handler returned, as a response."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.plugin.context import Context, Mount
from broker.plugin.messages import Auth, Leased, Plain, Raw, Response
from broker.plugin.paths import Operation


def respond(result: Any, operation: Operation, mount: Mount, context: Context) -> Response:
    """Turn what a handler returned into a response."""
    if isinstance(result, dict):
        response = Response(data=result)
    elif isinstance(result, Response):
        response = result
    elif result is None:
        response = Response(empty=True)
    elif isinstance(result, Mapping):
        response = Response(data=result)
    elif isinstance(result, Plain):
        response = Response(plain=result)
    elif isinstance(result, Raw):
        response = Response(raw=result)
    elif isinstance(result, Auth):
        response = Response(auth=result)
    elif isinstance(result, Leased):
        response = Response(data=result.data, leased=result)
    elif dataclasses.is_dataclass(result) or isinstance(result, msgspec.Struct):
        response = Response(data=msgspec.to_builtins(result))
    else:
        raise TypeError(f"a handler returned {type(result).__name__}")
    response.mount_type = response.mount_type or mount.type
    response.mirror = response.mirror or operation.mirror
    if context.warnings:
        response.warnings = [*context.warnings, *response.warnings]
    return response
