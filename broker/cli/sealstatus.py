"""``broker status``, and the seal status that ``operator unseal`` prints."""

from typing import Any

from broker.cli.data import Data
from broker.cli.flags import Command
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_field, print_pairs, print_structure


def status(run: Invocation) -> int:
    """Print the seal status. Returns 0 if unsealed, 2 if sealed, 1 if there is no answer."""
    from broker.client import ClientError

    try:
        body = run.client.request("GET", "sys/seal-status").body
        leader = _leader(run)
    except ClientError as error:
        raise Failure(f"Error checking seal status: {error}", 1) from None
    print_status(run, body, leader)
    return 2 if body.get("sealed") else 0


def print_status(run: Invocation, body: Data, leader: Data | None = None) -> None:
    """Print a seal status as Vault does, and the groups of custodians where the server has them."""
    if (field := run.given.text("field")) is not None:
        print_field(run, body | (leader or {}), field, where="seal status")
        return
    if run.format != "table":
        print_structure(run, body | (leader or {}))
        return
    print_pairs(status_rows(body, leader or {}))


def status_rows(body: Data, leader: Data) -> list[tuple[str, Any]]:
    """The rows of a seal status table."""
    recovery = body.get("recovery_seal")
    rows = [
        ("Seal Type", body.get("type")),
        *([("Recovery Seal Type", body["recovery_seal_type"])] if body.get("recovery_seal_type") else []),
        ("Initialized", body.get("initialized")),
        ("Sealed", body.get("sealed")),
        ("Total Recovery Shares" if recovery else "Total Shares", body.get("n")),
        ("Threshold", body.get("t")),
    ]
    if body.get("sealed"):
        rows += progress_rows(body, "Unseal Progress", int(body.get("t") or 0))
        rows += [("Unseal Nonce", body.get("nonce") or "")]
    if body.get("migration"):
        rows += [("Seal Migration in Progress", True)]
    if body.get("rollback_detected"):
        rows += [("Older Copy of the Store", "refused; see broker server -accept-rollback")]
    names = {"version": "Version", "commit_date": "Commit Date", "storage_type": "Storage Type"}
    names |= {"cluster_name": "Cluster Name", "cluster_id": "Cluster ID"}
    rows += [(title, body[name]) for name, title in names.items() if body.get(name)]
    if "ha_enabled" in leader:
        rows += _leader_rows(leader, sealed=bool(body.get("sealed")))
    return rows


def progress_rows(body: Data, title: str, needed: int) -> list[tuple[str, Any]]:
    """How far the shares are: counted, or by groups of custodians where the server has them.

    Shares of a group that has enough already, or of one group too many, bring nobody further; so with groups it is the
    groups that are counted, and the row ``Missing`` tells what is.
    """
    groups = [group for group in body.get("groups") or [] if isinstance(group, dict)]
    if not groups:
        return [(title, f"{body.get('progress', 0)}/{needed}")]
    wanted = int(body.get("group_threshold") or len(groups))
    named = [(str(group.get("name") or f"group {number}"), group) for number, group in enumerate(groups, 1)]
    lacking = [f"{name} ({_count(_lacking(group), 'share')})" for name, group in named if _lacking(group)]
    done = len(groups) - len(lacking)
    rows: list[tuple[str, Any]] = [(title, f"{done}/{wanted} groups")]
    rows += [(f"  {name}", f"{group['progress']}/{group['threshold']}") for name, group in named]
    if done < wanted:
        choice = f"{_count(wanted - done, 'group')} of: " if len(lacking) > wanted - done else ""
        rows.append(("Missing", choice + ", ".join(lacking)))
    return rows


def _lacking(group: Data) -> int:
    return max(int(group.get("threshold") or 0) - int(group.get("progress") or 0), 0)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _leader(run: Invocation) -> Data:
    from broker.client import ApiError

    try:
        return run.client.request("GET", "sys/leader").body
    except ApiError:
        return {}


def _leader_rows(leader: Data, *, sealed: bool) -> list[tuple[str, Any]]:
    if sealed or not leader.get("ha_enabled"):
        return [("HA Enabled", bool(leader.get("ha_enabled")))]
    rows: list[tuple[str, Any]] = [("HA Enabled", True), ("HA Cluster", leader.get("leader_cluster_address"))]
    rows.append(("HA Mode", "active" if leader.get("is_self") else "standby"))
    if leader.get("is_self"):
        rows.append(("Active Since", leader.get("active_time")))
    names = {"raft_committed_index": "Raft Committed Index", "raft_applied_index": "Raft Applied Index"}
    return rows + [(title, leader[name]) for name, title in names.items() if leader.get(name)]


STATUS = Command(
    status, "status [options]", "Print seal and HA status.\nExit code 0: unsealed, 2: sealed, 1: error."
)
