"""``broker operator init``: making the keys, and printing the shares once."""

from broker.cli.data import Data
from broker.cli.flags import Command, Flag
from broker.cli.invocation import Failure, Invocation
from broker.cli.output import print_structure
from broker.cli.shareflags import SHARE_FLAGS, pgp_key, share_request
from broker.client import Client

INIT_FLAGS = (
    *SHARE_FLAGS,
    Flag("recovery-pgp-keys", "As -pgp-keys, for recovery shares.", "texts"),
    Flag("recovery-shares", "As -key-shares, for the recovery shares of an auto-unseal seal.", "number"),
    Flag("recovery-threshold", "As -key-threshold, for recovery shares.", "number"),
    Flag("root-token-pgp-key", "File with an OpenPGP public key to encrypt the root token to."),
)


def init(run: Invocation) -> int:
    """Initialise the server, or tell with ``-status`` whether it is: exit code 0 if so, 2 if not."""
    if run.given.switch("status"):
        return _status(run)
    with run.doing("initializing"):
        body = init_request(run)
        answer = run.client.write("sys/init", body).body
    if run.format == "table":
        print("\n".join(printed(answer, threshold_of(body))))
    else:
        print_structure(run, structure(answer, body))
    return 0


def _status(run: Invocation) -> int:
    with run.doing("checking init status"):
        initialised = bool(run.client.request("GET", "sys/init").body.get("initialized"))
    if run.format == "table" and not initialised:
        raise Failure("Vault is not initialized")
    if run.format == "table":
        print("Vault is initialized")
    else:
        print_structure(run, {"initialized": initialised})
    return 0 if initialised else 2


def init_request(run: Invocation) -> Data:
    """The request: recovery shares where the seal opens by itself, unseal shares elsewhere."""
    given = run.given
    for flag in ("shares", "threshold"):
        if (number := given.number(f"recovery-{flag}")) is not None:
            given.values[f"key-{flag}"] = number
    if keys := given.texts("recovery-pgp-keys"):
        given.values["pgp-keys"] = keys
    body = share_request(given, recovery=opens_by_itself(run.client))
    if (path := given.text("root-token-pgp-key")) is not None:
        body["root_token_pgp_key"] = pgp_key(path)
    return body


def opens_by_itself(client: Client) -> bool:
    """Whether the seal needs no shares to open."""
    with client.unwrapped():
        status = client.request("GET", "sys/seal-status").body
    return bool(status.get("recovery_seal"))


def threshold_of(body: Data) -> tuple[int, int]:
    """How many shares are made and how many are needed at least."""
    groups = body.get("secret_groups")
    if groups:
        needed = sorted(group["threshold"] for group in groups)[: body["group_threshold"]]
        return sum(group["count"] for group in groups), sum(needed)
    prefix = "recovery" if "recovery_shares" in body else "secret"
    return body[f"{prefix}_shares"], body[f"{prefix}_threshold"]


def printed(answer: Data, counts: tuple[int, int]) -> list[str]:
    """The answer as Vault prints it; under each share its words, where it has them."""
    lines: list[str] = []
    for title, prefix in (("Unseal Key", ""), ("Recovery Key", "recovery_")):
        lines += share_lines(answer, title, prefix)
    total, needed = counts
    lines += [f"Initial Root Token: {answer.get('root_token', '')}", ""]
    if answer.get("keys_base64") or answer.get("keys"):
        lines += [
            f"Vault initialized with {total} key shares and a key threshold of {needed}. Please securely",
            "distribute the key shares printed above. When the server is re-sealed,",
            f"restarted, or stopped, you must supply at least {needed} of these keys to unseal it",
            "before it can start servicing requests.",
            "",
            "The shares are stored nowhere. Without enough of them everything in the",
            "server is lost for good.",
        ]
    else:
        lines += [
            "Success! Vault is initialized",
            "",
            f"Recovery key initialized with {total} shares, {needed} needed.",
        ]
    return lines


def share_lines(answer: Data, title: str, prefix: str = "") -> list[str]:
    """``Unseal Key 1: ...`` for each share, then its words and its group if it has any."""
    keys = answer.get(f"{prefix}keys_base64") or answer.get(f"{prefix}keys") or []
    words, groups = answer.get(f"{prefix}keys_mnemonic") or [], answer.get(f"{prefix}keys_group") or []
    lines: list[str] = []
    for number, key in enumerate(keys):
        group = f" ({groups[number]})" if number < len(groups) and groups[number] else ""
        lines.append(f"{title} {number + 1}{group}: {key}")
        if number < len(words):
            lines.append(f"    words: {words[number]}")
    return [*lines, ""] if lines else []


def structure(answer: Data, body: Data) -> Data:
    """The answer under the names that the field's own command line prints, and ours beside them."""
    total, needed = threshold_of(body)
    unseal = bool(answer.get("keys"))
    return {
        "unseal_keys_b64": answer.get("keys_base64") or [],
        "unseal_keys_hex": answer.get("keys") or [],
        "unseal_keys_mnemonic": answer.get("keys_mnemonic") or [],
        "unseal_keys_group": answer.get("keys_group") or [],
        "unseal_shares": total if unseal else 0,
        "unseal_threshold": needed if unseal else 0,
        "recovery_keys_b64": answer.get("recovery_keys_base64"),
        "recovery_keys_hex": answer.get("recovery_keys"),
        "recovery_keys_mnemonic": answer.get("recovery_keys_mnemonic"),
        "recovery_keys_shares": 0 if unseal else total,
        "recovery_keys_threshold": 0 if unseal else needed,
        "root_token": answer.get("root_token"),
    }


INIT = Command(
    init,
    "operator init [options]",
    "Initialize a server: make its keys and print the unseal key shares, once.\n\n"
    "    broker operator init -key-shares=5 -key-threshold=3\n"
    '    broker operator init -secret-groups="security:3/5,operations:2/3,board:1/1" -group-threshold=2\n'
    "    broker operator init -key-shares=2 -key-threshold=2 -custodian-keys=alice.pub,bob.pub\n\n"
    "`broker operator ceremony` shows each share to its custodian alone.",
    (
        *INIT_FLAGS,
        Flag("status", "Only tell whether it is initialized: exit code 0 if so, 2 if not.", "switch"),
    ),
    shows="answer",
)
