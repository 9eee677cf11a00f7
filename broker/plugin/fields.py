"""Typed input: a frozen dataclass says what an operation takes, ``bind`` turns a request into one.

Supported annotations: ``str``, ``int``, ``float``, ``bool``, ``timedelta`` (seconds, or ``"1h30m"``), ``datetime`` (RFC 3339 or
Unix seconds), ``list[str]`` (a list, or comma-separated text), ``dict[str, str]``, ``dict[str, Json]``, ``Json``, any of them as
``X | None`` or ``Secret[X]``. Text from a command line is accepted where it is unambiguous (``"5"`` for an integer,
``"true"`` for a boolean), because the field's CLIs send every value as text. ``null`` means: not given.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias, Union

from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

Json: TypeAlias = Any
"""Any JSON value."""

MISSING: Any = object()
MAX_SECONDS = 10 * 365 * 86400 * 30
"""Durations beyond 300 years are refused: they are overflow attempts, not lifetimes."""


@dataclass(frozen=True, slots=True)
class Field:
    """What there is to say of one input beyond its type.

    ``rest`` marks the field that receives every body key no other field claims. ``minimum`` and ``maximum`` bound
    numbers (durations in seconds), ``max_length`` bounds text and collections. ``wire`` is the name on the wire
    where the attribute cannot carry it (``from``). ``deprecated`` keeps it out of generated examples.
    ``nullable`` hands an explicit ``null`` on as ``None``, for operations where "clear it" and "not given" differ
    (give such a field the default ``msgspec.UNSET``).
    """

    description: str
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    choices: tuple[str, ...] | None = None
    rest: bool = False
    wire: str | None = None
    deprecated: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """The arguments of an operation that takes nothing."""


@dataclass(frozen=True, slots=True)
class InputField:
    """One compiled input: its name on the wire, its type for the documents, its converter."""

    name: str
    attribute: str
    type: Any
    about: Field
    default: Any
    convert: Callable[[Any], Any]
    secret: bool

    @property
    def required(self) -> bool:
        return self.default is MISSING


_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(ns|us|ms|s|m|h|d|w)", re.ASCII)
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_BOOLEANS = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "t": True,
    "f": False,
    "True": True,
    "False": False,
}


class _Expected(ValueError):
    """The value is not what the field takes; the text names the expectation, never the value."""


def parse_duration(value: object) -> timedelta:
    """Read a duration: seconds as a number or digits, or Go's form such as ``1h30m`` (units up to ``d`` and ``w``).

    Raises: InvalidRequest naming the expected form.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    try:
        return _to_duration(value)
    except _Expected as error:
        raise InvalidRequest(f"expected {error}") from None


def _to_duration(value: object) -> timedelta:
    expected = _Expected('a duration: seconds, or text such as "1h30m"')
    if isinstance(value, bool):
        raise expected
    if isinstance(value, int | float):
        seconds: float = value
    elif isinstance(value, str):
        text = value.strip()
        if text == "":
            return timedelta(0)
        sign = -1 if text.startswith("-") else 1
        body = text[1:] if sign < 0 else text
        if re.fullmatch(r"\d{1,18}", body, re.ASCII):
            seconds = sign * int(body)
        else:
            parts = _DURATION.findall(body)
            if not parts or "".join(n + u for n, u in parts) != body:
                raise expected
            seconds = sign * sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    else:
        raise expected
    if not abs(seconds) <= MAX_SECONDS:
        raise _Expected("a duration below 300 years")
    return timedelta(seconds=seconds)


def _to_datetime(value: object) -> datetime:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 36:
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise _Expected("a time as RFC 3339 text or Unix seconds") from None
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    raise _Expected("a time as RFC 3339 text or Unix seconds")


def _to_str(value: object) -> str:
    if not isinstance(value, str):
        raise _Expected("a string")
    return value


def _to_int(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise _Expected("an integer")


def _to_float(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise _Expected("a number")


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLEANS:
        return _BOOLEANS[value]
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise _Expected("true or false")


def _to_strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise _Expected("a list of strings, or comma-separated text")


def _to_ints(value: object) -> list[int]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list):
        return [_to_int(item) for item in value]
    raise _Expected("a list of integers")


def _to_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Expected("an object")
    return value


def _to_string_map(value: object) -> dict[str, str]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part]
    if isinstance(value, list) and all(isinstance(item, str) and "=" in item for item in value):
        pairs = [item.split("=", 1) for item in value]
        return {key.strip(): text.strip() for key, text in pairs}
    if isinstance(value, dict) and all(isinstance(item, str) or type(item) is int for item in value.values()):
        return {key: str(item) for key, item in value.items()}
    raise _Expected("an object whose values are strings")


def _to_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _Expected("a list")
    return value


def _unchanged(value: object) -> object:
    return value


def _converter(kind: Any) -> Callable[[Any], Any]:
    simple: dict[Any, Callable[[Any], Any]] = {
        str: _to_str,
        int: _to_int,
        float: _to_float,
        bool: _to_bool,
        timedelta: _to_duration,
        datetime: _to_datetime,
        Any: _unchanged,
        list[str]: _to_strings,
        list[int]: _to_ints,
        dict[str, str]: _to_string_map,
        dict[str, Any]: _to_object,
        list[Any]: _to_list,
        list[dict[str, Any]]: _to_list,
    }
    if kind not in simple:
        raise TypeError(f"unsupported field type {kind!r}")
    return simple[kind]


def _bounded(convert: Callable[[Any], Any], about: Field) -> Callable[[Any], Any]:
    bounds = (about.minimum, about.maximum, about.min_length, about.max_length, about.choices)
    if all(bound is None for bound in bounds):
        return convert

    def checked(raw: Any) -> Any:
        value = convert(raw)
        size = value.total_seconds() if isinstance(value, timedelta) else value
        if about.minimum is not None and size < about.minimum:
            raise _Expected(f"at least {about.minimum:g}")
        if about.maximum is not None and size > about.maximum:
            raise _Expected(f"at most {about.maximum:g}")
        if about.min_length is not None and len(value) < about.min_length:
            raise _Expected(f"at least {about.min_length} characters or items")
        if about.max_length is not None and len(value) > about.max_length:
            raise _Expected(f"at most {about.max_length} characters or items")
        if about.choices is not None and value not in about.choices:
            raise _Expected("one of " + ", ".join(about.choices))
        return value

    return checked


def _compile_field(spec: "dataclasses.Field[Any]", annotation: Any) -> InputField:
    about = Field(spec.name.replace("_", " "))
    if typing.get_origin(annotation) is Annotated:
        annotation, about = typing.get_args(annotation)[:2]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    secret = typing.get_origin(annotation) is Secret
    kind = typing.get_args(annotation)[0] if secret else annotation
    convert = _bounded(_converter(kind), about)
    if spec.default is not dataclasses.MISSING:
        default = spec.default
    elif spec.default_factory is not dataclasses.MISSING:
        default = spec.default_factory
    else:
        default = MISSING
    wrapped = (lambda raw: Secret(convert(raw))) if secret else convert
    return InputField(about.wire or spec.name, spec.name, kind, about, default, wrapped, secret)


def input_fields(args: type) -> tuple[InputField, ...]:
    """Compile the fields of an argument dataclass, in order. Raises: TypeError for an unsupported annotation."""
    hints = typing.get_type_hints(args, include_extras=True)
    return tuple(_compile_field(spec, hints[spec.name]) for spec in dataclasses.fields(args))


def binder(args: type) -> Callable[[Mapping[str, str], Mapping[str, Any] | None], Any]:
    """Return ``bind(path_parameters, body)`` building one ``args``; compiled once per operation.

    The path wins over the body for a name both carry. Raises: InvalidRequest naming the field and what it expects.
    """
    fields = input_fields(args)
    known = {field.name for field in fields if not field.about.rest}
    has_rest = any(field.about.rest for field in fields)
    # What is asked of every field of every request, taken apart once.
    plan = [
        (
            field.name,
            field.attribute,
            field.convert,
            field.about.rest,
            field.about.nullable,
            field.default is MISSING,
        )
        for field in fields
    ]

    def bind(params: Mapping[str, str], body: Mapping[str, Any] | None) -> Any:
        data = body or {}
        values: dict[str, Any] = {}
        for name, attribute, convert, rest, nullable, required in plan:
            if rest:
                # A body key named like a path parameter is the caller's data, not the parameter.
                raw: Any = {key: value for key, value in data.items() if key not in known or key in params}
            else:
                raw = params.get(name)
                if raw is None:
                    raw = data.get(name)
            if raw is None:
                if nullable and name in data:
                    values[attribute] = None
                    continue
                if required:
                    raise InvalidRequest(f'missing required field "{name}"')
                continue
            try:
                values[attribute] = convert(raw)
            except _Expected as error:
                raise InvalidRequest(f'field "{name}": expected {error}') from None
        if data and not has_rest and not known.issuperset(data):
            unknown = sorted(set(data) - known)[0]
            offered = ", ".join(sorted(known - set(params))) or "none"
            raise InvalidRequest(f'unknown field "{unknown[:64]}"; fields of this path: {offered}')
        return args(**values)

    return bind
