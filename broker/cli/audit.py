"""``broker audit enable|disable|list`` and ``broker audit verify``, which needs no server."""

import base64
import binascii
from typing import TYPE_CHECKING

from broker.cli.data import Data, parse_data, plain_path, read_input
from broker.cli.flags import DETAILED, Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure, print_table

if TYPE_CHECKING:
    from broker.audit.verify import Report


def enable(run: Invocation) -> int:
    """Enable an audit device."""
    kind, *words = run.rest
    path = plain_path(run.given.text("path") or kind) + "/"
    body: Data = {
        "type": kind,
        "description": run.given.text("description") or "",
        "local": run.given.switch("local"),
        "options": {key: str(value) for key, value in parse_data(words).items()},
    }
    with run.doing("enabling audit device"):
        run.client.write(f"sys/audit/{path.rstrip('/')}", body)
    run.say(f"Success! Enabled the {kind} audit device at: {path}")
    return 0


def disable(run: Invocation) -> int:
    """Disable an audit device."""
    path = plain_path(run.rest[0]) + "/"
    with run.doing("disabling audit device"):
        run.client.delete(f"sys/audit/{path.rstrip('/')}")
    run.say(f"Success! Disabled audit device (if it was enabled) at: {path}")
    return 0


def listing(run: Invocation) -> int:
    """Print the audit devices; exit code 2 if there are none."""
    with run.doing("listing audits"):
        devices = {
            p: d
            for p, d in sorted(run.client.request("GET", "sys/audit").data.items())
            if isinstance(d, dict)
        }
    if run.format != "table":
        print_structure(run, devices)
        return 0 if devices else 2
    if not devices:
        raise Failure("No audit devices are enabled.")
    rows = [[path, device.get("type"), device.get("description") or ""] for path, device in devices.items()]
    header = ["Path", "Type", "Description"]
    if run.given.switch("detailed"):
        header += ["Replication", "Options"]
        for row, device in zip(rows, devices.values(), strict=True):
            options = " ".join(
                f"{key}={value}" for key, value in sorted((device.get("options") or {}).items())
            )
            row += ["local" if device.get("local") else "replicated", options]
    print_table(header, rows)
    return 0


def verify(run: Invocation) -> int:
    """Check audit files, oldest first. Returns 0 if nothing is missing, 1 if something is wrong."""
    from broker.audit.verify import verify_files

    try:
        report = verify_files(run.rest, _key(run.given.text("key")))
    except ValueError:
        raise UsageError("-key is not an Ed25519 public key") from None
    if run.format == "table":
        _print_report(report)
    else:
        print_structure(run, _structure(report))
    return 0 if report.intact else 1


def _key(text: str | None) -> bytes | None:
    """The device's public key: base64 or hex, or ``@FILE`` with either."""
    if text is None:
        return None
    plain = read_input(text[1:]).strip() if text.startswith("@") else text
    for decode in (binascii.unhexlify, lambda value: base64.b64decode(value, validate=True)):
        try:
            return decode(plain)
        except ValueError:
            continue
    raise UsageError("-key must be a public key in hex or base64, or @FILE")


def _print_report(report: "Report") -> None:
    signed = "" if report.signatures_checked else " (signatures not checked: no -key)"
    print(f"{report.lines} lines, {report.writers} writers, {report.checkpoints} checkpoints{signed}")
    if report.torn:
        print(
            f"{len(report.torn)} lines were cut off mid-write by a crash, the first is line {report.torn[0]}"
        )
    for problem in report.problems:
        print(f"{problem.path}:{problem.line}: {problem.kind}: {problem.text}")
    if report.problem_count > len(report.problems):
        print(f"... and {report.problem_count - len(report.problems)} more")
    for end in report.open_ends:
        print(
            f"writer {end.writer} has no closing line: still running, killed, or cut off after line {end.line}"
            f" ({end.unsigned} lines since its last checkpoint)"
        )
    print(report.verdict)


def _structure(report: "Report") -> Data:
    from dataclasses import asdict

    more = {"intact": report.intact, "complete": report.complete, "verdict": report.verdict}
    return asdict(report) | more


ENABLE = Command(
    enable,
    "audit enable [options] TYPE [CONFIG K=V...]",
    "Enable an audit device.\n\n    broker audit enable file file_path=/var/log/broker/audit.log",
    (
        Flag("description", "What it is for."),
        Flag("local", "Do not replicate it.", "switch"),
        Flag("path", "Its name; its type's if left out."),
    ),
    (1, None),
    shows="sentence",
)
DISABLE = Command(
    disable, "audit disable [options] PATH", "Disable an audit device.", (), (1, 1), shows="sentence"
)
LIST = Command(
    listing,
    "audit list [options]",
    "List audit devices.",
    (DETAILED,),
    shows="answer",
)
VERIFY = Command(
    verify,
    "audit verify [options] FILE...",
    "Find removed, changed or reordered lines. Name rotated files oldest first.\n"
    "Exit code 0: intact, as far as the last line says; 1: not intact, or nothing to tell by.",
    (Flag("key", "The device's public key (hex, base64 or @FILE), to check its signed checkpoints."),),
    (1, None),
    connects=False,
    shows="answer",
)
