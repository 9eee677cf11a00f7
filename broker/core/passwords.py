"""Password policies: what a generated password is made of, and making one.

A policy is ``length`` and rules of one kind, ``charset``. Source: Vault's password policies, in HCL or JSON.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from broker.access.policy import hcl1
from broker.core.tenants import Tenant
from broker.plugin.errors import InvalidRequest
from broker.plugin.secret import Secret

PREFIX: Final = "sys/password-policy/"
SHORTEST, LONGEST = 4, 100
MAX_RULES: Final = 100
MAX_CHARSET: Final = 10_000
TRIES: Final = 200
"""How many passwords are drawn blindly for one that fits its rules; then one is put together that does."""

Random = Callable[[int], bytes]


class CharsetRule(msgspec.Struct, frozen=True):
    """At least ``min_chars`` of a password's characters are from ``charset``."""

    charset: str
    min_chars: int = 0


class PasswordPolicy(msgspec.Struct, frozen=True):
    """A policy as written and as parsed."""

    text: str
    length: int
    rules: tuple[CharsetRule, ...]
    v: int = 1


class PasswordService:
    """Passwords by the policies of one tenant (service ``passwords``)."""

    def __init__(self, tenant: Tenant, random: Random) -> None:
        self._tenant = tenant
        self._random = random

    async def generate(self, policy: str) -> Secret[str]:
        """Return a password as a policy of the tenant says. Raises: InvalidRequest if there is no such policy."""
        tx = await self._tenant.store.begin()
        record = await tx.load(PREFIX + policy, PasswordPolicy)
        if record is None:
            raise InvalidRequest("password policy does not exist")
        return Secret(generate(record, self._random))


def parse(text: str) -> PasswordPolicy:
    """Read a policy and check that passwords can be made by it. Raises: InvalidRequest."""
    pairs = _from_json(text) if text.lstrip().startswith("{") else _from_hcl(text)
    length: Any = None
    rules: list[CharsetRule] = []
    for name, value in pairs:
        if name == "length":
            if length is not None:
                raise _invalid("length is given twice")
            length = _whole("length", value)
        else:
            rules.append(_rule(name, value))
            if len(rules) > MAX_RULES:
                raise _invalid(f"at most {MAX_RULES} rules are taken")
    policy = PasswordPolicy(text, length or 0, tuple(rules))
    _check(policy)
    return policy


def _check(policy: PasswordPolicy) -> None:
    if policy.length <= 0:
        raise _invalid("length must be > 0")
    if not any(rule.charset for rule in policy.rules):
        raise _invalid("no charset specified")
    if not all(rule.charset.isprintable() for rule in policy.rules):
        raise _invalid("non-printable character in charset")
    needed = sum(rule.min_chars for rule in policy.rules)
    if needed > policy.length:
        raise _invalid(
            f"specified rules require at least {needed} characters but {policy.length} is specified"
        )
    if not SHORTEST <= policy.length <= LONGEST:
        raise InvalidRequest(f"passwords must be between {SHORTEST} and {LONGEST} characters")


def _rule(kind: str, fields: dict[str, Any]) -> CharsetRule:
    if kind != "charset":
        raise _invalid(
            f"unable to parse rules: unable to parse rule {kind[:64]}: unrecognized rule type {kind[:64]}"
        )
    unknown = sorted(set(fields) - {"charset", "min-chars"})
    if unknown:
        raise _invalid(f'a charset rule has no "{unknown[0][:64]}"; it has charset and min-chars')
    charset, least = fields.get("charset", ""), _whole("min-chars", fields.get("min-chars", 0))
    if not isinstance(charset, str):
        raise _invalid("charset must be a string")
    if len(charset) > MAX_CHARSET:
        raise _invalid(f"a charset has at most {MAX_CHARSET} characters")
    if least < 0:
        raise _invalid("min-chars must be >= 0")
    if least and not charset:
        raise _invalid("no charset specified")
    return CharsetRule("".join(sorted(set(charset))), least)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(f"'{name}' expected a whole number")
    return value


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"invalid password policy: {reason}")


def _from_hcl(text: str) -> Iterator[tuple[str, Any]]:
    """Yield ``("length", value)`` and, for each rule, ``(kind, its fields)``."""
    try:
        items = hcl1.read(text)
    except InvalidRequest as error:
        raise _invalid(str(error).removeprefix("failed to parse policy: ")) from None
    for item in items:
        if item.keys == ("length",) and not item.is_block:
            yield "length", item.value
        elif item.keys[0] == "rule" and len(item.keys) == 2 and isinstance(item.value, hcl1.Object):
            yield item.keys[1], _fields_of(item.value)
        else:
            raise _invalid(f'line {item.line}: expected length = N or rule "charset" {{ ... }}')


def _fields_of(block: hcl1.Object) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for item in block:
        if len(item.keys) != 1 or item.keys[0] in fields:
            raise _invalid(f"line {item.line}: expected one value for each name")
        fields[item.keys[0]] = item.value
    return fields


def _from_json(text: str) -> Iterator[tuple[str, Any]]:
    """As ``_from_hcl``; ``rule`` is an object by kind, or a list of such, and a kind has one rule or a list."""
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _invalid("unable to decode: broken JSON") from None
    for name, value in document.items():
        if name == "length":
            yield "length", value
        elif name == "rule":
            yield from _json_rules(value)
        else:
            raise _invalid(f'unknown field "{name[:64]}"; there are length and rule')


def _json_rules(value: Any) -> Iterator[tuple[str, Any]]:
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            raise _invalid("unable to parse rules: a rule must be an object")
        for kind, found in entry.items():
            for fields in found if isinstance(found, list) else [found]:
                if not isinstance(fields, dict):
                    raise _invalid("unable to parse rules: a rule must be an object")
                yield kind, fields


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("a key is given twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


# Making a password


def generate(policy: PasswordPolicy, random: Random) -> str:
    """Return a password. Every one that fits the rules is as likely as any other, unless few of all do."""
    chars = "".join(sorted({char for rule in policy.rules for char in rule.charset}))
    for _ in range(TRIES):
        drawn = draw(chars, policy.length, random)
        if _fits(drawn, policy.rules):
            return "".join(drawn)
    # The rules leave so little that chance does not find it: take what they ask for, fill up, and shuffle.
    made = [
        char for rule in policy.rules if rule.min_chars for char in draw(rule.charset, rule.min_chars, random)
    ]
    made += draw(chars, policy.length - len(made), random)
    for last in range(len(made) - 1, 0, -1):
        other = _below(last + 1, 1, random)[0]
        made[last], made[other] = made[other], made[last]
    return "".join(made)


def draw(chars: str, count: int, random: Random) -> list[str]:
    """Return ``count`` characters, each any of ``chars`` with the same chance."""
    return [chars[number] for number in _below(len(chars), count, random)]


def _below(limit: int, count: int, random: Random) -> list[int]:
    """Return ``count`` numbers below ``limit`` (at most 65536), none likelier than another.

    Two bytes make a number; those behind the last whole multiple of ``limit`` are thrown away, or the first few
    numbers would come up more often.
    """
    top = 65536 - 65536 % limit
    found: list[int] = []
    while len(found) < count:
        raw = random(2 * (count - len(found)))
        numbers = (raw[at] << 8 | raw[at + 1] for at in range(0, len(raw), 2))
        found += [number % limit for number in numbers if number < top]
    return found


def _fits(drawn: list[str], rules: tuple[CharsetRule, ...]) -> bool:
    return all(
        sum(char in rule.charset for char in drawn) >= rule.min_chars for rule in rules if rule.min_chars
    )
