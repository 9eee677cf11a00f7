"""What the cluster says: is this token good, whose is it, and which labels has that namespace?

Source: Kubernetes API, authentication.k8s.io/v1 TokenReview and v1 Namespace. Anything but a clear yes is a no.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from broker.plugin import InvalidRequest, PermissionDenied
from broker.plugin.outbound import Answer, OutboundFailed, fetch_aside

from .account import Account
from .records import Config

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 1 << 20
log = logging.getLogger("broker.auth.kubernetes")


def address(host: str) -> str:
    """Return the base of the API server's URLs for a host as configured: a URL, or ``host:port``."""
    return (host if "://" in host else f"https://{host}").rstrip("/")


async def review(config: Config, token: str, account: Account, audience: str) -> None:
    """Ask whether a token is good and is the account's. Raises: PermissionDenied."""
    wanted = [audience] if audience else list(account.audiences)
    spec = {"token": token, **({"audiences": wanted} if wanted else {})}
    about = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    answer = await _ask(
        "POST", config, REVIEWS, config.token_reviewer_jwt or token, json.dumps(about).encode()
    )
    status = answer.get("status")
    if answer.get("kind") == "Status" or not isinstance(status, dict):
        raise _refused("no TokenReview")
    if status.get("error") or status.get("authenticated") is not True:
        raise _refused("not authenticated")
    if wanted and not _meet(wanted, status.get("audiences")):
        raise _refused("not for the audience")
    user = status.get("user")
    user = user if isinstance(user, dict) else {}
    if user.get("username") != f"system:serviceaccount:{account.namespace}:{account.name}":
        raise _refused("another account than the token says")
    if user.get("uid") != account.uid:
        raise _refused("another uid than the token says")


async def labels_of(config: Config, namespace: str) -> Mapping[str, str]:
    """Return a namespace's labels. ``namespace`` has passed for a name of one. Raises: PermissionDenied."""
    if not config.token_reviewer_jwt:
        raise PermissionDenied(
            "namespace not authorized err=namespace lookup failed: TokenReviewer JWT needs to be configured "
            "to use namespace selectors"
        )
    found = await _ask("GET", config, f"/api/v1/namespaces/{namespace}", config.token_reviewer_jwt, None)
    metadata = found.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or metadata.get("name", namespace) != namespace:
        raise _refused("another namespace than asked for")
    return {name: text for name, text in (labels or {}).items() if isinstance(text, str)}


async def _ask(method: str, config: Config, path: str, bearer: str, body: bytes | None) -> Mapping[str, Any]:
    if not (bearer.isascii() and bearer.isprintable()):
        raise _refused("a bearer token that cannot be sent")
    headers = {"Authorization": f"Bearer {bearer}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        answer = await fetch_aside(
            method,
            address(config.host) + path,
            headers=headers,
            body=body,
            ca_pem=config.ca_cert,
            timeout=TIMEOUT_SECONDS,
            max_bytes=MAX_ANSWER,
        )
    except (OutboundFailed, InvalidRequest) as error:
        log.warning("kubernetes.unreachable reason=%s", error)
        raise PermissionDenied from None
    return _object(answer)


def _object(answer: Answer) -> Mapping[str, Any]:
    if not 200 <= answer.status <= 206:
        raise _refused(f"status {answer.status}")
    found = answer.json_object()
    if found is None:
        raise _refused("an answer that is no object")
    return found


def _meet(wanted: list[str], given: Any) -> bool:
    return isinstance(given, list) and any(audience in given for audience in wanted)


def _refused(reason: str) -> PermissionDenied:
    log.info("kubernetes.refused reason=%s", reason)
    return PermissionDenied()
