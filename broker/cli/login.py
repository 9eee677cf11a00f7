"""``broker login`` and ``broker print token``: getting a token, and keeping it for later commands."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from broker.cli.argvsecret import ask_secret, secret_argument
from broker.cli.data import Data, parse_data, plain_path
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.mfa import complete
from broker.cli.output import print_reply
from broker.cli.tokenfile import store_token
from broker.client import Reply
from broker.client.settings import variable_name
from broker.plugin.secret import Secret

STORED = (
    "Success! You are now authenticated. The token information displayed below is\n"
    'already stored in the token helper. You do NOT need to run "broker login" again.\n'
    "Future requests will automatically use this token.\n"
)
NOT_STORED = (
    "The token was not stored in token helper. Set the BROKER_TOKEN environment\n"
    "variable or pass the token below with each request.\n"
)


@dataclass(frozen=True, slots=True)
class Method:
    """How one auth method is asked: ``at`` below its mount, which fields it needs, which of them are hidden."""

    at: str
    needs: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


METHODS: Mapping[str, Method] = {
    "userpass": Method("login/{username}", ("username", "password"), ("password",)),
    "ldap": Method("login/{username}", ("username", "password"), ("password",)),
    "approle": Method("login", ("role_id", "secret_id"), ("secret_id",)),
    "jwt": Method("login", ("jwt",), ("jwt",)),
    "cert": Method("login"),
    "apikey": Method("login", ("api_key",), ("api_key",)),
    "kubernetes": Method("login", ("role", "jwt"), ("jwt",)),
}


def usage_of(method: str, path: str | None = None) -> str | None:
    """How to log in by a method; None for one we know nothing about."""
    where = f" -path={path}" if path and path != method else ""
    if method == "token":
        return (
            f"Usage: broker login{where} [- | @FILE]\n\n  Log in with a token: typed without echo, piped in, or "
            "from a file."
        )
    if method == "oidc":
        return (
            f"Usage: broker login -method=oidc{where} [role=...] [callbackmode=client|direct|device] [port=8250]\n"
            "                    [skip_browser=true]\n\n  Log in at an identity provider's page, in the browser."
        )
    known = METHODS.get(method)
    if known is None:
        return None
    fields = "".join(f" {name}=..." for name in known.needs if name not in known.hidden)
    hidden = "".join(
        f"\n\n  {name} is asked for without echo; {name}=- reads stdin." for name in known.hidden
    )
    return f"Usage: broker login -method={method}{where}{fields}{hidden}"


def login(run: Invocation) -> int:
    """Get a token, keep it (unless told not to) and print it."""
    method = (run.given.text("method") or "token").lower()
    with run.doing("authenticating"):
        reply = _by_token(run) if method == "token" else complete(run, log_in(run, method))
    if reply.wrap_info:
        return print_reply(run, reply)
    auth = reply.auth or {}
    if not auth.get("client_token"):
        raise Failure("Error authenticating: the server's answer holds no token")
    code = _keep_and_print(run, reply, Secret(str(auth["client_token"])))
    _warn_of_plain(run, method)
    return code


def _keep_and_print(run: Invocation, reply: Reply, token: Secret[str]) -> int:
    only = run.given.switch("token-only")
    keep = not run.given.switch("no-store") and not only
    if keep:
        store_token(token, run.environ)
    if only:
        run.given.values["field"] = "token"
    if run.given.switch("no-print"):
        return 0
    shadow = variable_name(run.environ, "TOKEN")
    if keep and shadow:
        run.warn(f"WARNING! {shadow} is set and takes precedence over the token stored now; unset it.\n")
    if not keep and not only:
        run.warn(NOT_STORED)
    elif keep and run.given.text("field") is None:
        run.say(STORED)
    return print_reply(run, reply)


def _by_token(run: Invocation) -> Reply:
    if len(run.rest) > 1:
        raise UsageError(f"Too many arguments (expected 1, got {len(run.rest)})")
    token = _token_given(run)
    client = run.new_client(token)
    with client:
        found = client.request("GET", "auth/token/lookup-self")
    if found.wrap_info:
        return found
    auth = _auth_of(found.data, token)
    return Reply(found.status, {"request_id": found.body.get("request_id"), "auth": auth}, found.headers)


def _token_given(run: Invocation) -> Secret[str]:
    if not run.rest:
        return ask_secret(run, "Token")
    word = run.rest[0]
    return secret_argument(run, word.removeprefix("token="), "Token", refuse=True)


def _auth_of(data: Data, token: Secret[str]) -> Data:
    """A token's own record in the shape that a login answers with."""
    return {
        "client_token": token.reveal(),
        "accessor": data.get("accessor") or "",
        "policies": [*(data.get("policies") or []), *(data.get("identity_policies") or [])],
        "token_policies": data.get("policies") or [],
        "identity_policies": data.get("identity_policies") or None,
        "metadata": data.get("meta"),
        "orphan": bool(data.get("orphan")),
        "entity_id": data.get("entity_id") or "",
        "lease_duration": data.get("ttl") or 0,
        "renewable": bool(data.get("renewable")),
    }


def log_in(run: Invocation, name: str) -> Reply:
    """Log in by the method ``name`` with the command's arguments; what is missing is asked for."""
    if name == "oidc":
        from broker.cli.oidc import log_in_with_browser

        return log_in_with_browser(run, name)
    method = METHODS.get(name, Method("login"))
    data = parse_data(run.rest)
    for needed in method.needs:
        if not data.get(needed):
            data[needed] = _ask(run, needed, hidden=needed in method.hidden)
    path = plain_path(run.given.text("path") or name)
    at = method.at.format_map({key: str(value) for key, value in data.items()})
    body = {key: value for key, value in data.items() if f"{{{key}}}" not in method.at}
    # The token in use, if any, has no say in who logs in now.
    with run.new_client(None) as client:
        return client.write(f"auth/{path}/{at}", body)


def _warn_of_plain(run: Invocation, method: str) -> None:
    """Say so where a secret stands on the command line itself: the field's scripts do that, so it is taken."""
    hidden = METHODS.get(method, Method("login")).hidden
    for word in run.rest:
        name, _, value = word.partition("=")
        if name in hidden and value and value != "-" and not value.startswith("@"):
            run.warn(f"Note: {name} given on the command line; other users of this machine can see it there.")


def _ask(run: Invocation, field: str, *, hidden: bool) -> str:
    if hidden:
        return ask_secret(run, field.capitalize()).reveal()
    if not run.interactive:
        raise UsageError(f"{field}=... is needed")
    print(f"{field.capitalize()}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def print_token(run: Invocation) -> int:
    """Print the token in use."""
    if run.token:
        print(run.token.reveal())
    return 0


LOGIN = Command(
    login,
    "login [options] [- | @FILE | AUTH K=V...]",
    "Authenticate, and keep the token in ~/.vault-token (readable by you only).\n\n"
    "    broker login                                  asks for a token without echo\n"
    "    broker login - <token.txt                     reads it from stdin\n"
    "    broker login -method=userpass username=bob    asks for the password",
    (
        Flag(
            "method",
            'Auth method: "token" (default), "userpass", "approle", "jwt", "oidc", "cert", or another type.',
        ),
        Flag(
            "mfa",
            "A code, or METHOD:CODE, for a login that needs a second proof; asked for if left out.",
            "texts",
        ),
        Flag("no-print", "Print nothing.", "switch"),
        Flag("no-store", "Do not keep the token.", "switch"),
        Flag("path", "Where the method is mounted; its type's name if left out."),
        Flag("token-only", "Print the token and nothing else; do not keep it.", "switch"),
    ),
    (0, None),
    wraps=True,
)
PRINT_TOKEN = Command(print_token, "print token", "Print the token in use.", connects=False, shows="text")
