"""What rekey and generate-root share: an attempt that is started, given shares, and finished or cancelled."""

from collections.abc import Sequence

from broker.cli.data import Data
from broker.cli.flags import UsageError
from broker.cli.invocation import Invocation
from broker.client import ApiError, Client

UNKNOWN = frozenset({404, 405})


def supported(client: Client, bases: Sequence[str], suffix: str) -> str:
    """The first of several addresses of the same thing that the server knows.

    Servers have moved these paths over time and answer 404 or 405 at the ones they no longer serve. Raises: ApiError
    of the last one if it knows none.
    """
    for base in bases[:-1]:
        try:
            with client.unwrapped():
                client.request("GET", f"{base}/{suffix}")
        except ApiError as error:
            if error.status in UNKNOWN or "unsupported path" in error.errors:
                continue
            if error.status != 400 and error.status != 403:
                raise
            if error.status == 403 and _known(client, bases[-1], suffix):
                continue
        return base
    return bases[-1]


def _known(client: Client, base: str, suffix: str) -> bool:
    """Whether this address answers where another was forbidden."""
    try:
        with client.unwrapped():
            client.request("GET", f"{base}/{suffix}")
    except ApiError:
        return False
    return True


def nonce_of(run: Invocation, status: Data) -> str:
    """The attempt's nonce: given, or the running one's if a person is there to see which.

    A script must name it, so that its share never goes to an attempt it does not know.
    """
    nonce = run.given.text("nonce")
    if nonce:
        return nonce
    if run.rest or not run.interactive:
        raise UsageError("Missing nonce value: specify it via the -nonce flag")
    run.warn(f"Operation nonce: {status.get('nonce')}")
    return str(status.get("nonce") or "")
