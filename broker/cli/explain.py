"""``broker policy explain``: which rule decided, what nearly did, and the smallest rule that would allow it."""

from collections.abc import Iterable
from typing import Any

from broker.cli.argvsecret import secret_argument
from broker.cli.data import Data
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Invocation
from broker.cli.output import print_structure, printable, show, warn_of

OPERATIONS = frozenset({"create", "read", "update", "patch", "delete", "list", "scan", "sudo"})
# What the server may call the same thing.
NEAR = ("near", "near_misses")
SHADOWED = ("shadowed", "shadowed_by")
SUGGESTION = ("smallest_rule", "suggestion")


def explain(run: Invocation) -> int:
    """Explain a decision. Returns 0 however the decision fell: the question was answered."""
    with run.doing("explaining"):
        reply = run.client.request("POST", "sys/policies/explain", body=_question(run))
    if run.format != "table":
        print_structure(run, reply.data)
        return 0
    warn_of(run, reply)
    print("\n".join(rendered(reply.data)))
    return 0


def _question(run: Invocation) -> Data:
    given = run.given
    if (request_id := given.text("request-id")) is not None:
        if run.rest:
            raise UsageError("-request-id stands alone: it names the operation and the path already")
        return {"request_id": request_id}
    if len(run.rest) != 2:
        raise UsageError(f"Expected OPERATION and PATH, or -request-id (got {len(run.rest)} arguments)")
    operation, path = run.rest
    if operation not in OPERATIONS:
        raise UsageError(f"OPERATION must be one of {', '.join(sorted(OPERATIONS))}")
    body: Data = {"operation": operation, "path": path}
    if given.texts("policy"):
        listed = [name.strip() for text in given.texts("policy") for name in text.split(",")]
        body["policies"] = [name for name in listed if name]
    if given.text("accessor"):
        body["accessor"] = given.text("accessor")
    if (token := given.text("token")) is not None:
        body["token"] = secret_argument(run, token, "Token").reveal()
    if len(body.keys() & {"policies", "accessor", "token"}) > 1:
        raise UsageError("Give -policy, -accessor or -token, not several of them")
    return body


def rendered(answer: Data) -> list[str]:
    """The answer in lines of text, whatever parts of it are there."""
    lines = [_headline(answer)]
    decided = answer.get("decided_by") or {name: answer.get(name) for name in ("policy", "rule", "line")}
    if _rule(decided):
        lines.append(f"  Decided by: {_rule(decided)}")
    if why := answer.get("why") or answer.get("reason"):
        lines.append(f"  Because:    {_plain(why)}")
    lines += _section("Also matching, but outweighed:", _first(answer, SHADOWED))
    lines += _section("Nearly matching:", _first(answer, NEAR))
    if suggestion := _first(answer, SUGGESTION):
        lines += ["", "The smallest rule that would allow it:", ""]
        lines += [f"    {line}" for line in _plain(suggestion).splitlines()]
    lines += _section("Notes:", answer.get("notes"))
    return lines


def _headline(answer: Data) -> str:
    verdict = "ALLOWED" if answer.get("allowed") else "DENIED"
    what = " ".join(_plain(answer[name]) for name in ("operation", "path") if answer.get(name))
    return f"{verdict}  {what}".rstrip()


def _section(title: str, items: Any) -> list[str]:
    if not items:
        return []
    listed: Iterable[Any] = items if isinstance(items, list) else [items]
    return ["", title, *(f"  - {_note(item)}" for item in listed)]


def _note(item: Any) -> str:
    if not isinstance(item, dict):
        return _plain(item)
    why = item.get("why") or item.get("reason") or item.get("hint")
    capabilities = item.get("capabilities")
    shown = f" {show(capabilities)}" if capabilities else ""
    return f"{_rule(item) or 'rule'}{shown}" + (f": {_plain(why)}" if why else "")


def _rule(item: Any) -> str:
    """``path "x" (policy p, line 3)`` from whichever of these are known."""
    if not isinstance(item, dict):
        return _plain(item) if item else ""
    path, policy, line = item.get("rule") or item.get("path"), item.get("policy"), item.get("line")
    where = ", ".join(([f"policy {_plain(policy)}"] if policy else []) + ([f"line {line}"] if line else []))
    named = f'path "{_plain(path)}"' if path else ""
    return f"{named} ({where})".strip() if where else named


def _first(answer: Data, names: tuple[str, ...]) -> Any:
    return next((answer[name] for name in names if answer.get(name)), None)


def _plain(value: Any) -> str:
    return printable(show(value))


EXPLAIN = Command(
    explain,
    "policy explain [options] OPERATION PATH",
    "Say which rule of which policy allows or denies a request, what nearly matched or was\n"
    "outweighed, and the smallest rule that would allow it.\n\n"
    "    broker policy explain read secret/data/app            for the token in use\n"
    "    broker policy explain -policy=app read secret/data/x  for these policies\n"
    "    broker policy explain -request-id=...                 for a recent denial",
    (
        Flag("accessor", "Explain for the token with this accessor."),
        Flag("policy", "Explain for these policies: comma-separated or repeated.", "texts"),
        Flag("request-id", "Explain a recent denial by the request id in its answer."),
        Flag("token", "Explain for another token: '-' or '@FILE'."),
    ),
    (0, 2),
    shows="answer",
)
