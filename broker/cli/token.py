"""``broker token create|lookup|dies-with|renew|revoke|capabilities``.

A token may be named by ``-`` (stdin) or ``@FILE``; one typed as an argument is visible to others on the machine.
"""

from broker.cli.argvsecret import secret_argument
from broker.cli.data import Data, plain_path
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Invocation
from broker.cli.output import print_reply, print_structure, print_table
from broker.plugin.errors import NotFound
from broker.plugin.secret import Secret

ACCESSOR = Flag("accessor", "The argument is an accessor, not a token.", "switch")
TEXTS = ("display-name", "entity-alias", "explicit-max-ttl", "period", "role", "ttl", "type")


def create(run: Invocation) -> int:
    """Create a token."""
    given = run.given
    body: Data = {flag.replace("-", "_"): given.text(flag) for flag in TEXTS if given.text(flag)}
    role = body.pop("role", None)
    body |= {"policies": given.texts("policy")} if given.texts("policy") else {}
    body |= {"meta": given.pairs("metadata")} if given.pairs("metadata") else {}
    body |= {"num_uses": given.number("use-limit")} if given.number("use-limit") is not None else {}
    body |= {"no_parent": True} if given.switch("orphan") else {}
    body |= {"no_default_policy": True} if given.switch("no-default-policy") else {}
    body |= {"renewable": given.maybe("renewable")} if given.maybe("renewable") is not None else {}
    if (wanted := given.text("id")) is not None:
        body["id"] = secret_argument(run, wanted, "Token id").reveal()
    with run.doing("creating token"):
        at = f"auth/token/create/{role}" if role else "auth/token/create"
        return print_reply(run, run.client.request("POST", at, body=body))


def _named(run: Invocation, what: str = "Token") -> Secret[str] | None:
    return secret_argument(run, run.rest[0], what) if run.rest else None


def _accessor(run: Invocation) -> str:
    if not run.rest:
        raise UsageError("Not enough arguments with -accessor (expected 1, got 0)")
    return run.rest[0]


def lookup(run: Invocation) -> int:
    """Print a token's properties; without an argument, those of the token in use."""
    with run.doing("looking up token"):
        if run.given.switch("accessor"):
            body = {"accessor": _accessor(run)}
            reply = run.client.request("POST", "auth/token/lookup-accessor", body=body)
        elif (token := _named(run)) is not None:
            reply = run.client.request("POST", "auth/token/lookup", body={"token": token.reveal()})
        else:
            found = run.client.read("auth/token/lookup-self")
            if found is None:
                raise NotFound("the token in use is not known")
            reply = found
    return print_reply(run, reply)


def dies_with(run: Invocation) -> int:
    """Print the tokens and leases that die with a token; without an argument, with the token in use."""
    body: Data = {"limit": run.given.number("limit")} if run.given.number("limit") is not None else {}
    body |= {"after": run.given.text("after")} if run.given.text("after") else {}
    if run.given.switch("accessor"):
        body["accessor"] = _accessor(run)
    elif (token := _named(run)) is not None:
        body["token"] = token.reveal()
    with run.doing("looking up what dies with the token"):
        reply = run.client.request("POST", "auth/token/dies-with", body=body)
    if run.format != "table" or run.given.text("field") is not None or reply.wrap_info:
        return print_reply(run, reply)
    rows = [
        ("token", row["accessor"], row["display_name"], row["expires_at"]) for row in reply.data["tokens"]
    ]
    rows += [("lease", row["lease_id"], "", row["expires_at"]) for row in reply.data["leases"]]
    if rows:
        print_table(("Kind", "Accessor or lease", "Name", "Expires"), rows)
    else:
        run.say("Nothing more dies with it." if run.given.text("after") else "Nothing dies with it.")
    if reply.data["next"]:
        run.say(f"There is more: -after={reply.data['next']}")
    return 0


def renew(run: Invocation) -> int:
    """Extend a token's life; without an argument, that of the token in use."""
    increment = run.given.text("increment")
    body: Data = {"increment": increment} if increment else {}
    with run.doing("renewing token"):
        if run.given.switch("accessor"):
            at, body = "auth/token/renew-accessor", body | {"accessor": _accessor(run)}
        elif (token := _named(run)) is not None:
            at, body = "auth/token/renew", body | {"token": token.reveal()}
        else:
            at = "auth/token/renew-self"
        return print_reply(run, run.client.write(at, body))


def revoke(run: Invocation) -> int:
    """Revoke a token and, unless told otherwise, what it created."""
    at, body = _revocation(run)
    with run.doing("revoking token"):
        run.client.write(at, body)
    run.say("Success! Revoked token (if it existed)")
    return 0


def _revocation(run: Invocation) -> tuple[str, Data]:
    given, mode = run.given, run.given.text("mode") or ""
    if mode not in {"", "orphan", "path"}:
        raise UsageError('-mode must be "orphan" or "path"')
    if given.switch("self"):
        if run.rest or mode or given.switch("accessor"):
            raise UsageError("-self takes no argument, no -accessor and no -mode")
        return "auth/token/revoke-self", {}
    if not run.rest:
        raise UsageError("Not enough arguments (expected 1 or -self, got 0)")
    if given.switch("accessor") and mode:
        raise UsageError(f"Cannot use -accessor with -mode={mode}!")
    if mode == "path":
        return f"sys/leases/revoke-prefix/{plain_path(run.rest[0])}", {}
    if given.switch("accessor"):
        return "auth/token/revoke-accessor", {"accessor": run.rest[0]}
    token = secret_argument(run, run.rest[0], "Token")
    return ("auth/token/revoke-orphan" if mode else "auth/token/revoke"), {"token": token.reveal()}


def capabilities(run: Invocation) -> int:
    """Print what a token may do at a path; with one argument, what the token in use may do."""
    path = run.rest[-1]
    if run.given.switch("accessor") and len(run.rest) < 2:
        raise UsageError("Not enough arguments with -accessor (expected 2, got 1)")
    with run.doing("listing capabilities"):
        if len(run.rest) == 2 and run.given.switch("accessor"):
            at, body = "sys/capabilities-accessor", {"accessor": run.rest[0], "paths": [path]}
        elif len(run.rest) == 2:
            token = secret_argument(run, run.rest[0], "Token")
            at, body = "sys/capabilities", {"token": token.reveal(), "paths": [path]}
        else:
            at, body = "sys/capabilities-self", {"paths": [path]}
        data = run.client.request("POST", at, body=body).data
    found = sorted(data.get(path) or data.get("capabilities") or [])
    if run.format == "table":
        print(", ".join(found))
    else:
        print_structure(run, found)
    return 0


CREATE = Command(
    create,
    "token create [options]",
    "Create a new token.",
    (
        Flag("display-name", "A name to show."),
        Flag("entity-alias", "Entity alias to tie it to, with -role."),
        Flag("explicit-max-ttl", 'Longest lifetime, renewals included, such as "24h".', "duration"),
        Flag("id", "The token's own text ('-' or '@FILE'); random if left out."),
        Flag("metadata", "A key=value to keep with it. May be repeated.", "pairs"),
        Flag("no-default-policy", 'Leave out the policy "default".', "switch"),
        Flag("orphan", "Do not revoke it with its creator.", "switch"),
        Flag("period", "Lifetime of a periodic token, renewed without limit.", "duration"),
        Flag("policy", "A policy it gets. May be repeated.", "texts"),
        Flag("renewable", "Whether it can be renewed (default: yes).", "switch"),
        Flag("role", "Token role to create it by."),
        Flag("ttl", 'Lifetime, such as "1h".', "duration"),
        Flag("type", '"service" or "batch".'),
        Flag("use-limit", "How often it may be used.", "number"),
    ),
    wraps=True,
)
LOOKUP = Command(
    lookup,
    "token lookup [options] [- | @FILE | ACCESSOR]",
    "Look up a token.",
    (ACCESSOR,),
    (0, 1),
    wraps=True,
)
DIES_WITH = Command(
    dies_with,
    "token dies-with [options] [- | @FILE | ACCESSOR]",
    "List the tokens and leases that die with a token.",
    (
        ACCESSOR,
        Flag("after", "Go on where a page before ended."),
        Flag("limit", "At most so many rows (default: 100).", "number"),
    ),
    (0, 1),
    wraps=True,
)
RENEW = Command(
    renew,
    "token renew [options] [- | @FILE | ACCESSOR]",
    "Renew a token.",
    (ACCESSOR, Flag("increment", 'By how long, such as "30m".', "duration", aliases=("i",))),
    (0, 1),
    wraps=True,
)
REVOKE = Command(
    revoke,
    "token revoke [options] [- | @FILE | ACCESSOR]",
    "Revoke a token and the tokens and leases it created.",
    (
        ACCESSOR,
        Flag("mode", '"orphan" keeps its children; "path" revokes all created at the path given.'),
        Flag("self", "Revoke the token in use.", "switch"),
    ),
    (0, 1),
    shows="sentence",
)
CAPABILITIES = Command(
    capabilities,
    "token capabilities [options] [- | @FILE | ACCESSOR] PATH",
    "Print what a token may do at a path.",
    (ACCESSOR,),
    (1, 2),
    shows="answer",
)
