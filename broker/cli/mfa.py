"""The second proof of a login: a code from the command line, or asked for at the terminal."""

import sys

from broker.cli.flags import UsageError
from broker.cli.invocation import Failure, Invocation
from broker.client import Reply


def complete(run: Invocation, login: Reply) -> Reply:
    """Show the codes that a login waits for, and return its token; a login that waits for none comes back as it is.

    Raises: Failure if there is no code and nobody to ask.
    """
    needed = (login.auth or {}).get("mfa_requirement")
    if not needed:
        return login
    given = _given(run.given.texts("mfa"))
    payload: dict[str, list[str]] = {}
    for constraint in needed["mfa_constraints"].values():
        methods = constraint["any"]
        if not any(method["id"] in payload for method in methods):
            method, code = _code(run, methods, given)
            payload[method] = [code]
    body = {"mfa_request_id": needed["mfa_request_id"], "mfa_payload": payload}
    with run.new_client(None) as client:
        return client.write("sys/mfa/validate", body)


def _given(words: list[str]) -> dict[str, str]:
    """Read ``-mfa=METHOD:CODE``; a bare code is for whatever is asked."""
    found = {}
    for word in words:
        name, colon, code = word.rpartition(":")
        found[name if colon else ""] = code
    return found


def _code(run: Invocation, methods: list[dict[str, str]], given: dict[str, str]) -> tuple[str, str]:
    """Return a method that will do and its code."""
    for method in methods:
        for known_as in (method["id"], method.get("name") or method["id"], ""):
            if known_as in given:
                return method["id"], given[known_as]
    names = " or ".join(f"{method.get('name') or method['id']} ({method['type']})" for method in methods)
    if not run.interactive:
        raise Failure(f"this login needs a code of {names}: give it with -mfa=CODE or -mfa=METHOD:CODE")
    print(f"Code of {names}: ", end="", file=sys.stderr, flush=True)
    code = sys.stdin.readline().strip()
    if not code:
        raise UsageError("the code is empty")
    return methods[0]["id"], code
