"""``broker secrets ...`` and ``broker auth ...``: enabling, listing, tuning, moving and disabling mounts."""

import time
from dataclasses import dataclass
from typing import Any

from broker.cli.data import Data, plain_path
from broker.cli.flags import DETAILED, Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure, print_table

MOVE_TIMEOUT_SECONDS = 60.0

TUNING = (
    Flag("allowed-response-headers", "A response header the engine may set. May be repeated.", "texts"),
    Flag(
        "audit-non-hmac-request-keys", "A request field that audit shows in clear. May be repeated.", "texts"
    ),
    Flag(
        "audit-non-hmac-response-keys",
        "A response field that audit shows in clear. May be repeated.",
        "texts",
    ),
    Flag("default-lease-ttl", 'Lifetime of leases and tokens that ask for none, such as "1h".', "duration"),
    Flag("description", "What it is for."),
    Flag("listing-visibility", '"unauth" lists it for those who have not logged in; "hidden" does not.'),
    Flag("max-lease-ttl", 'Longest lifetime of its leases and tokens, such as "24h".', "duration"),
    Flag("options", "An option of the engine, key=value. May be repeated.", "pairs"),
    Flag("passthrough-request-headers", "A request header the engine may see. May be repeated.", "texts"),
    Flag("plugin-version", "Which version of the plugin."),
    Flag("version", "Version of the KV engine, 1 or 2.", "number"),
)
ENABLING = (
    Flag("force-no-cache", "Do not cache what it stores.", "switch"),
    Flag("local", "Do not replicate it.", "switch"),
    Flag("path", "Where to mount it; its type's name if left out."),
    Flag("seal-wrap", "Wrap its entries by the seal too.", "switch"),
)
TOKEN_TYPE = Flag(
    "token-type", 'Which tokens logins get: "service", "batch", "default-service" or "default-batch".'
)
CONFIG_TEXTS = ("default-lease-ttl", "listing-visibility", "max-lease-ttl", "plugin-version", "token-type")
CONFIG_LISTS = (
    "allowed-response-headers",
    "audit-non-hmac-request-keys",
    "audit-non-hmac-response-keys",
    "passthrough-request-headers",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """How engines and auth methods differ in paths and sentences."""

    at: str
    noun: str
    enabling: str
    enabled: str

    def whole(self, path: str) -> str:
        """The path as ``sys/remount`` takes it: auth methods stand below ``auth/``, in a namespace's path too."""
        return path if self.at == "sys/mounts" or "auth" in path.split("/")[:-1] else f"auth/{path}"


KINDS = {
    "secrets": Kind("sys/mounts", "secrets engine", "enabling", "the {} secrets engine"),
    "auth": Kind("sys/auth", "auth method", "enabling {} auth", "{} auth method"),
}


def _kind(run: Invocation) -> Kind:
    return KINDS[run.name.split()[0]]


def enable(run: Invocation) -> int:
    """Mount a secrets engine or auth method."""
    kind, name, given = _kind(run), run.rest[0].strip(), run.given
    path = plain_path(given.text("path") or name) + "/"
    body: Data = {"type": name, "config": _config(run)}
    body |= _options(run)
    body |= {"description": given.text("description") or ""}
    body |= {flag: True for flag in ("local", "seal_wrap") if given.switch(flag.replace("_", "-"))}
    with run.doing(kind.enabling.format(name)):
        run.client.request("POST", f"{kind.at}/{path.rstrip('/')}", body=body)
    run.say(f"Success! Enabled {kind.enabled.format(name)} at: {path}")
    return 0


def tune(run: Invocation) -> int:
    """Change a mount's configuration."""
    kind, path = _kind(run), plain_path(run.rest[0]) + "/"
    body = _config(run) | _options(run)
    if run.given.text("description") is not None:
        body["description"] = run.given.text("description")
    with run.doing(f"tuning {kind.noun} {path}"):
        run.client.request("POST", f"{kind.at}/{path}tune", body=body)
    run.say(f"Success! Tuned the {kind.noun} at: {path}")
    return 0


def _config(run: Invocation) -> Data:
    given = run.given
    texts = {flag: given.text(flag) for flag in CONFIG_TEXTS}
    lists = {flag: given.texts(flag) for flag in CONFIG_LISTS}
    found: Data = {flag.replace("-", "_"): value for flag, value in (texts | lists).items() if value}
    return found | ({"force_no_cache": True} if given.switch("force-no-cache") else {})


def _options(run: Invocation) -> Data:
    options = dict(run.given.pairs("options"))
    version = run.given.number("version")
    options |= {} if version is None else {"version": str(version)}
    return {"options": options} if options else {}


def listing(run: Invocation) -> int:
    """Print the mounts."""
    kind = _kind(run)
    with run.doing(f"listing {kind.noun}s"):
        reply = run.client.request("GET", kind.at)
    mounts = {path: mount for path, mount in sorted(reply.data.items()) if isinstance(mount, dict)}
    if run.format != "table":
        print_structure(run, mounts)
    elif run.given.switch("detailed"):
        _print_detailed(mounts)
    else:
        _print_short(mounts, versions=kind is KINDS["auth"])
    return 0


def _print_short(mounts: Data, *, versions: bool) -> None:
    rows = [
        [p, m.get("type"), m.get("accessor") or "", m.get("description") or ""] for p, m in mounts.items()
    ]
    header = ["Path", "Type", "Accessor", "Description"]
    if versions:
        header.append("Version")
        for row, mount in zip(rows, mounts.values(), strict=True):
            row.append(mount.get("plugin_version") or "")
    print_table(header, rows)


def _print_detailed(mounts: Data) -> None:
    names = "Path,Plugin,Accessor,Default TTL,Max TTL,Token Type,Replication,Seal Wrap,Options,Description"
    header = [*names.split(","), "UUID", "Version", "Running Version"]
    print_table(header, [_detailed_row(path, mount) for path, mount in mounts.items()])


def _detailed_row(path: str, mount: Data) -> list[Any]:
    config = mount.get("config") or {}
    return [
        path,
        mount.get("type"),
        mount.get("accessor") or "",
        config.get("default_lease_ttl") or "system",
        config.get("max_lease_ttl") or "system",
        config.get("token_type") or "",
        "local" if mount.get("local") else "replicated",
        bool(mount.get("seal_wrap")),
        mount.get("options") or {},
        mount.get("description") or "",
        mount.get("uuid") or "",
        mount.get("plugin_version") or "",
        mount.get("running_plugin_version") or "",
    ]


def disable(run: Invocation) -> int:
    """Unmount; what the engine stored is gone, its leases are revoked."""
    kind, path = _kind(run), plain_path(run.rest[0]) + "/"
    with run.doing(f"disabling {kind.noun} at {path}"):
        run.client.delete(f"{kind.at}/{path.rstrip('/')}")
    run.say(f"Success! Disabled the {kind.noun} (if it existed) at: {path}")
    return 0


def move(run: Invocation) -> int:
    """Move a mount and wait until the server says that it has arrived."""
    kind = _kind(run)
    source, target = (kind.whole(plain_path(path)) + "/" for path in run.rest)
    with run.doing(f"moving {kind.noun} {source} to {target}"):
        reply = run.client.request("POST", "sys/remount", body={"from": source, "to": target})
        migration = reply.data.get("migration_id")
        about = f"{kind.noun} {source} to {target}" + (
            f", with migration ID {migration}" if migration else ""
        )
        if migration:
            run.say(f"Started moving {about}")
            _wait_for_move(run, str(migration), about)
    run.say(f"Success! Finished moving {about}")
    return 0


def _wait_for_move(run: Invocation, migration: str, about: str) -> None:
    deadline = time.monotonic() + MOVE_TIMEOUT_SECONDS
    told = False
    while time.monotonic() < deadline:
        info = run.client.request("GET", f"sys/remount/status/{migration}").data.get("migration_info") or {}
        if info.get("status") == "success":
            return
        if info.get("status") == "failure":
            raise Failure(f"Failure! Error encountered moving {about}")
        if not told:
            run.say(f"Waiting for terminal status in migration of {about}")
            told = True
        time.sleep(0.2)
    raise Failure(f"No terminal status yet for moving {about}; ask sys/remount/status/{migration}")


def auth_help(run: Invocation) -> int:
    """Print how to log in by a method, named by its type or its path."""
    from broker.cli.login import usage_of

    wanted = plain_path(run.rest[0])
    usage = usage_of(wanted)
    if usage is None:
        with run.doing("listing auth methods"):
            mount = run.client.request("GET", "sys/auth").data.get(f"{wanted}/")
        if mount is None:
            raise Failure(f"No auth method at {wanted}/, and none of that type is known", 1)
        usage = usage_of(str(mount.get("type")), path=wanted)
    print(
        usage
        or f"Usage: broker login -method={wanted} [K=V...]\n\n  broker path-help auth/{wanted} says more."
    )
    return 0


SECRETS_ENABLE = Command(
    enable,
    "secrets enable [options] TYPE",
    "Enable a secrets engine.",
    ENABLING + TUNING,
    (1, 1),
    shows="sentence",
)
SECRETS_LIST = Command(
    listing, "secrets list [options]", "List the secrets engines.", (DETAILED,), shows="answer"
)
SECRETS_TUNE = Command(
    tune, "secrets tune [options] PATH", "Tune a secrets engine.", TUNING, (1, 1), shows="sentence"
)
SECRETS_MOVE = Command(
    move, "secrets move [options] SOURCE DESTINATION", "Move a secrets engine.", (), (2, 2), shows="sentence"
)
SECRETS_DISABLE = Command(
    disable,
    "secrets disable [options] PATH",
    "Disable a secrets engine.\nIts secrets are deleted and its leases revoked.",
    (),
    (1, 1),
    shows="sentence",
)
AUTH_ENABLE = Command(
    enable,
    "auth enable [options] TYPE",
    "Enable an auth method.",
    (*ENABLING, *TUNING, TOKEN_TYPE),
    (1, 1),
    shows="sentence",
)
AUTH_LIST = Command(listing, "auth list [options]", "List the auth methods.", (DETAILED,), shows="answer")
AUTH_TUNE = Command(
    tune, "auth tune [options] PATH", "Tune an auth method.", (*TUNING, TOKEN_TYPE), (1, 1), shows="sentence"
)
AUTH_MOVE = Command(
    move,
    "auth move [options] SOURCE DESTINATION",
    "Move an auth method. The tokens it gave are revoked.",
    (),
    (2, 2),
    shows="sentence",
)
AUTH_DISABLE = Command(
    disable,
    "auth disable [options] PATH",
    "Disable an auth method.\nThe tokens it gave are revoked.",
    (),
    (1, 1),
    shows="sentence",
)
AUTH_HELP = Command(
    auth_help, "auth help [options] TYPE | PATH", "Print how to log in.", (), (1, 1), shows="text"
)
