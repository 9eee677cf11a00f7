"""Every command by name, where it lives, and one line about it. Nothing here is imported before it is called."""

from typing import NamedTuple


class Entry(NamedTuple):
    """``module:NAME`` of a ``flags.Command``, and its summary."""

    target: str
    summary: str


GROUPS = {
    "audit": "Interact with audit devices",
    "auth": "Interact with auth methods",
    "kv": "Interact with key/value secrets",
    "kv metadata": "Interact with the metadata of versioned secrets",
    "lease": "Interact with leases",
    "namespace": "Interact with namespaces",
    "operator": "Init, unseal, seal, rekey and other work on the server itself",
    "plugin": "Interact with plugins",
    "policy": "Interact with policies, and explain their decisions",
    "print": "Print what the command line would use",
    "secrets": "Interact with secrets engines",
    "token": "Interact with tokens",
}

COMMON = ("read", "write", "delete", "list", "login", "server", "status", "unwrap")

COMMANDS: dict[str, Entry] = {
    "agent": Entry("agent:AGENT", "Keep a token alive for a program: log in, renew, log in again"),
    "audit disable": Entry("audit:DISABLE", "Disable an audit device"),
    "audit enable": Entry("audit:ENABLE", "Enable an audit device"),
    "audit list": Entry("audit:LIST", "List enabled audit devices"),
    "audit verify": Entry("audit:VERIFY", "Find removed, changed or reordered lines in an audit file"),
    "auth disable": Entry("mounts:AUTH_DISABLE", "Disable an auth method"),
    "auth enable": Entry("mounts:AUTH_ENABLE", "Enable an auth method"),
    "auth help": Entry("mounts:AUTH_HELP", "Print how to use an auth method"),
    "auth list": Entry("mounts:AUTH_LIST", "List enabled auth methods"),
    "auth move": Entry("mounts:AUTH_MOVE", "Move an auth method to a new path"),
    "auth tune": Entry("mounts:AUTH_TUNE", "Tune an auth method's configuration"),
    "completion": Entry("completion:COMPLETION", "Print a completion script for bash, zsh or fish"),
    "delete": Entry("verbs:DELETE", "Delete secrets and configuration"),
    "kv delete": Entry("kv:DELETE", "Delete versions in the KV store"),
    "kv destroy": Entry("kv_versions:DESTROY", "Permanently remove versions in the KV store"),
    "kv enable-versioning": Entry("kv_versions:ENABLE_VERSIONING", "Turn on versioning for a KV store"),
    "kv get": Entry("kv:GET", "Retrieve data from the KV store"),
    "kv list": Entry("kv:LIST", "List secrets"),
    "kv metadata delete": Entry("kv_metadata:DELETE", "Delete all versions and metadata of a secret"),
    "kv metadata get": Entry("kv_metadata:GET", "Retrieve a secret's metadata"),
    "kv metadata patch": Entry("kv_metadata:PATCH", "Change some of a secret's settings"),
    "kv metadata put": Entry("kv_metadata:PUT", "Set a secret's settings"),
    "kv patch": Entry("kv:PATCH", "Change some fields without overwriting the others"),
    "kv put": Entry("kv:PUT", "Set data in the KV store"),
    "kv rollback": Entry("kv_versions:ROLLBACK", "Make an earlier version the current one again"),
    "kv scan": Entry("kv:SCAN", "List secrets at any depth"),
    "kv undelete": Entry("kv_versions:UNDELETE", "Undelete versions in the KV store"),
    "lease lookup": Entry("lease:LOOKUP", "Look up a lease"),
    "lease renew": Entry("lease:RENEW", "Renew a lease"),
    "lease revoke": Entry("lease:REVOKE", "Revoke leases and secrets"),
    "list": Entry("verbs:LIST", "List data or secrets"),
    "login": Entry("login:LOGIN", "Authenticate, and keep the token for later commands"),
    "namespace create": Entry("namespace:CREATE", "Create a new namespace"),
    "namespace delete": Entry("namespace:DELETE", "Delete an existing namespace"),
    "namespace list": Entry("namespace:LIST", "List child namespaces"),
    "namespace lookup": Entry("namespace:LOOKUP", "Look up an existing namespace"),
    "namespace patch": Entry("namespace:PATCH", "Change an existing namespace's metadata"),
    "namespace scan": Entry("namespace:SCAN", "List all namespaces below"),
    "operator ceremony": Entry("ceremony:CEREMONY", "Lead a room of custodians through init or unseal"),
    "operator decrypt-share": Entry("custodian:DECRYPT_SHARE", "Open a share that was encrypted to you"),
    "operator generate-root": Entry("generate_root:GENERATE_ROOT", "Generate a new root token"),
    "operator init": Entry("operator_init:INIT", "Initialize a server"),
    "operator key-status": Entry("operator:KEY_STATUS", "Print the active encryption key's term and age"),
    "operator keygen": Entry("custodian:KEYGEN", "Make a custodian's key pair"),
    "operator rekey": Entry("rekey:REKEY", "Generate new unseal keys"),
    "operator rotate": Entry("operator:ROTATE", "Rotate the encryption key"),
    "operator rotate-keys": Entry("rekey:ROTATE_KEYS", "Generate new unseal keys, by the newer name"),
    "operator seal": Entry("operator:SEAL", "Seal the server"),
    "operator status": Entry("sealstatus:STATUS", "Print seal and HA status"),
    "operator step-down": Entry("operator:STEP_DOWN", "Force the node to resign active duty"),
    "operator unseal": Entry("operator:UNSEAL", "Unseal the server, one key share at a time"),
    "patch": Entry("verbs:PATCH", "Patch data, configuration, and secrets"),
    "path-help": Entry("verbs:PATH_HELP", "Print what the server says about a path"),
    "plugin info": Entry("plugin:INFO", "Print what is known about a plugin"),
    "plugin list": Entry("plugin:LIST", "List available plugins"),
    "policy delete": Entry("policy:DELETE", "Delete a policy by name"),
    "policy explain": Entry("explain:EXPLAIN", "Say which rule allows or denies a request, and why"),
    "policy fmt": Entry("policy:FMT", "Format a policy on disk"),
    "policy list": Entry("policy:LIST", "List the installed policies"),
    "policy read": Entry("policy:READ", "Print the contents of a policy"),
    "policy write": Entry("policy:WRITE", "Upload a named policy from a file"),
    "print token": Entry("login:PRINT_TOKEN", "Print the token in use"),
    "read": Entry("verbs:READ", "Read data and retrieve secrets"),
    "scan": Entry("verbs:SCAN", "Scan (recursively list) data or secrets"),
    "secrets disable": Entry("mounts:SECRETS_DISABLE", "Disable a secrets engine"),
    "secrets enable": Entry("mounts:SECRETS_ENABLE", "Enable a secrets engine"),
    "secrets list": Entry("mounts:SECRETS_LIST", "List enabled secrets engines"),
    "secrets move": Entry("mounts:SECRETS_MOVE", "Move a secrets engine to a new path"),
    "secrets tune": Entry("mounts:SECRETS_TUNE", "Tune a secrets engine's configuration"),
    "server": Entry("", "Start a server"),
    "status": Entry("sealstatus:STATUS", "Print seal and HA status"),
    "token capabilities": Entry("token:CAPABILITIES", "Print capabilities of a token on a path"),
    "token create": Entry("token:CREATE", "Create a new token"),
    "token dies-with": Entry("token:DIES_WITH", "List the tokens and leases that die with a token"),
    "token lookup": Entry("token:LOOKUP", "Display information about a token"),
    "token renew": Entry("token:RENEW", "Renew a token"),
    "token revoke": Entry("token:REVOKE", "Revoke a token and its children"),
    "unwrap": Entry("verbs:UNWRAP", "Unwrap a wrapped secret"),
    "version": Entry("verbs:VERSION", "Print the version"),
    "write": Entry("verbs:WRITE", "Write data, configuration, and secrets"),
}


def children(group: str) -> dict[str, str]:
    """The names directly below a group ("" for the top) with their summaries, sorted.

    >>> sorted(children("kv metadata"))
    ['delete', 'get', 'patch', 'put']
    """
    prefix = f"{group} " if group else ""
    found = {}
    for name, summary in [*GROUPS.items(), *((n, e.summary) for n, e in COMMANDS.items())]:
        rest = name.removeprefix(prefix)
        if name.startswith(prefix) and rest and " " not in rest:
            found[rest] = summary
    return dict(sorted(found.items()))
