"""Our records beside those of a real OpenBao: the same facts give the same JSON."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from broker.audit import AuditEntry, AuthFacts, GrantingPolicy, PolicyResults, ResponseFacts
from broker.audit.hashing import Salt
from broker.audit.options import RecordOptions
from broker.audit.records import RecordEncoder
from broker.plugin.context import Mount, MountConfig
from broker.plugin.messages import WrapInfo
from broker.plugin.secret import Secret
from tests.fixtures.servers import BIN, RunningServer, free_port
from tests.peer.client import Client

Record = dict[str, Any]
REQUESTS: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
    (
        "POST",
        "secret/data/a",
        {"data": {"s": "x", "n": 5, "f": 1.5, "b": True, "z": None, "l": ["y", 1]}},
        {},
    ),
    ("GET", "secret/data/a", None, {}),
    ("GET", "secret/data/a?version=1", None, {}),
    ("LIST", "secret/metadata", None, {}),
    ("GET", "secret/data/a", None, {"X-Vault-Wrap-TTL": "60"}),
    ("GET", "secret/data/missing", None, {}),
    ("GET", "secret/data/a", None, {"X-Vault-Token": "wrong"}),
    ("GET", "nothing/here", None, {}),
    ("POST", "secret/data/a", {"data": "no map"}, {}),
    ("POST", "sys/auth/userpass", {"type": "userpass"}, {}),
    ("POST", "auth/userpass/users/bob", {"password": "pw", "policies": "default"}, {}),
    ("POST", "auth/userpass/login/bob", {"password": "pw"}, {}),
    ("POST", "auth/userpass/login/bob", {"password": "no"}, {}),
    ("POST", "auth/token/create", {"policies": ["p"], "ttl": "1h", "num_uses": 3, "meta": {"k": "v"}}, {}),
    ("POST", "sys/namespaces/team", {}, {}),
    ("GET", "sys/mounts", None, {"X-Vault-Namespace": "team"}),
    ("POST", "sys/audit-hash/plain", {"input": "hello"}, {}),
)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Record]]]:
    """What a real OpenBao wrote about ``REQUESTS``: hashed, in clear, and with listings elided."""
    folder = tmp_path_factory.mktemp("bao-audit")
    options = {"hashed": {}, "plain": {"log_raw": "true"}, "elided": {"elide_list_responses": "true"}}
    stanzas = "".join(
        f'audit "file" "{name}" {{ options {{ file_path = "{folder}/{name}.log"\n'
        + "".join(f'{key} = "{value}"\n' for key, value in extra.items())
        + "} }\n"
        for name, extra in options.items()
    )
    config = folder / "bao.hcl"
    config.write_text(stanzas)
    port = free_port()
    argv = [
        str(BIN / "bao"),
        "server",
        "-dev",
        "-dev-root-token-id=root",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    server = RunningServer(
        "bao-audit", [*argv, f"-config={config}"], f"http://127.0.0.1:{port}", folder
    ).start()
    try:
        send(Client(server.address))
        yield {name: read(folder / f"{name}.log") for name in options}
    finally:
        server.stop()


def send(client: Client) -> None:
    for method, path, body, headers in REQUESTS:
        sent = {"X-Vault-Token": "root", **headers}
        client.send(method, f"/v1/{path}", sent, None if body is None else json.dumps(body).encode())
    client.close()


def read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def auth_of(shown: Record) -> AuthFacts | None:
    if set(shown) == {"token_type"}:
        return None
    facts = {name: value for name, value in shown.items() if name not in ("policy_results", "remaining_uses")}
    if "token_issue_time" in facts:
        facts["token_issue_time"] = datetime.fromisoformat(facts["token_issue_time"]).timestamp()
    return AuthFacts(**facts)


def mount_of(request: Record) -> Mount | None:
    if not request.get("mount_point"):
        return None
    table = request["mount_class"]
    point = request["mount_point"].removeprefix(request["namespace"].get("path", ""))
    path = point.removeprefix("auth/") if table == "auth" else point
    return Mount(
        path, request["mount_type"], "uuid", request.get("mount_accessor", ""), table, config=MountConfig()
    )


def entry_of(record: Record) -> AuditEntry:
    request = record["request"]
    same = (
        "client_id",
        "operation",
        "path",
        "client_token",
        "client_token_accessor",
        "data",
        "remote_address",
        "remote_port",
    )
    results = record["auth"].get("policy_results")
    return AuditEntry(
        request_id=request.get("id", ""),
        namespace_id=request["namespace"]["id"],
        namespace_path=request["namespace"].get("path", ""),
        mount=mount_of(request),
        mount_version=request.get("mount_running_version", ""),
        wrap_ttl=request.get("wrap_ttl", 0),
        auth=auth_of(record["auth"]),
        policy_results=results
        and PolicyResults(
            results["allowed"],
            tuple(GrantingPolicy(**policy) for policy in results.get("granting_policies", ())),
        ),
        remaining_uses=record["auth"].get("remaining_uses", 0),
        error=record.get("error", ""),
        **{name: request[name] for name in same if name in request},
    )


def response_of(record: Record) -> ResponseFacts:
    shown = record["response"]
    wrap = shown.get("wrap_info")
    if wrap is not None:
        created = datetime.fromisoformat(wrap["creation_time"][:26] + "+00:00").timestamp()
        wrap = WrapInfo(**{**wrap, "token": Secret(wrap["token"]), "creation_time": created})
    return ResponseFacts(
        data=shown.get("data"),
        auth=auth_of(shown["auth"]) if "auth" in shown else None,
        lease_id=shown.get("secret", {}).get("lease_id", ""),
        wrap_info=wrap,
        warnings=shown.get("warnings", ()),
    )


def ours(record: Record, **options: bool) -> Record:
    encoder = RecordEncoder("device", Salt("salt"), RecordOptions(**options), {})
    entry = entry_of(record)
    if record["type"] == "request":
        return json.loads(b"{%b}" % encoder.request(entry))
    return json.loads(b"{%b}" % encoder.response(entry, response_of(record)))


def without_times(record: Record) -> Record:
    kept = {name: value for name, value in record.items() if name != "time"}
    if wrap := kept.get("response", {}).get("wrap_info"):
        wrap["creation_time"] = wrap["creation_time"][:19]
    return kept


def masked(value: Any) -> Any:
    """Hashes alike, and values the peer leaves in clear (numbers, booleans, times in data) like hashes."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value if value is None else "hash"


def with_masked_data(record: Record) -> Record:
    for part in ("request", "response"):
        if "data" in record.get(part, {}):
            record[part]["data"] = masked(record[part]["data"])
    return json.loads(json.dumps(record), object_hook=_mask_hashes)


def _mask_hashes(found: Record) -> Record:
    return {
        key: "hash" if isinstance(value, str) and value.startswith("hmac-sha256:") else value
        for key, value in found.items()
    }


def test_records_in_clear_equal_the_peers_member_for_member(logs):
    assert len(logs["plain"]) >= 2 * len(REQUESTS)
    for record in logs["plain"]:
        expected = without_times(json.loads(json.dumps(record)))
        assert without_times(ours(record, log_raw=True)) == expected


def test_members_come_in_the_peers_order(logs):
    def order(record: Record) -> list[Any]:
        parts = [record, record["auth"], record["request"], record.get("response", {})]
        return [[name for name in part if name != "time"] for part in parts]

    for record in logs["plain"]:
        assert order(ours(record, log_raw=True)) == order(record)


def test_hashed_records_hash_what_the_peer_hashes_and_more(logs):
    for hashed, plain in zip(logs["hashed"][1:], logs["plain"][1:], strict=True):
        if "audit-hash" in plain["request"]["path"]:
            continue
        expected = with_masked_data(without_times(hashed))
        assert with_masked_data(without_times(ours(plain))) == expected


def test_elided_listings_show_counts_as_the_peers_do(logs):
    plain = [record for record in logs["plain"] if record["request"]["operation"] == "list"]
    elided = [record for record in logs["elided"] if record["request"]["operation"] == "list"]
    assert elided[1]["response"]["data"] == {"keys": 1}
    shown = ours(plain[1], elide_list_responses=True)
    assert shown["response"]["data"] == {"keys": 1}
    shown = ours(plain[1], elide_list_responses=True, log_raw=True)
    assert shown["response"]["data"] == {"keys": 1}
