"""What we ask a provider in the course of a login: its page, its tokens, what it knows of the user."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from broker.plugin import BrokerError, InvalidRequest

from .records import FORM_POST, Config, Pending, Role
from .remote import Provider, Source, json_object

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING_WORDS = ("authorization_pending", "slow_down")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave for a code."""

    id_token: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)


def page_url(provider: Provider, config: Config, role: Role, pending: Pending, state: str) -> str:
    """Return the address of the provider's page. Source: OpenID Connect Core 3.1.2.1, RFC 7636 (PKCE)."""
    digest = hashlib.sha256(pending.verifier.encode()).digest()
    kinds = config.oidc_response_types or ("code",)
    query = {
        "client_id": config.oidc_client_id,
        "nonce": pending.nonce,
        "redirect_uri": pending.redirect_uri,
        "response_type": " ".join(kinds),
        "scope": " ".join(scopes(role)),
        "state": state,
    }
    if "code" in kinds:
        query["code_challenge"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        query["code_challenge_method"] = "S256"
    if config.oidc_response_mode == FORM_POST:
        query["response_mode"] = FORM_POST
    if role.max_age:
        query["max_age"] = str(role.max_age)
    joint = "&" if "?" in provider.authorization_endpoint else "?"
    return provider.authorization_endpoint + joint + urlencode(sorted(query.items()))


def scopes(role: Role) -> list[str]:
    """``openid`` and what the role asks for, each once."""
    return list(dict.fromkeys(("openid", *(role.oidc_scopes or ()))))


async def redeem(source: Source, pending: Pending, code: str) -> Tokens:
    """Exchange a code for tokens. Raises: BrokerError."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": pending.redirect_uri,
        "code_verifier": pending.verifier,
    }
    found = await _post(source, (await source.provider()).token_endpoint, form)
    return _tokens(found)


async def begin_device(source: Source, role: Role) -> dict[str, Any]:
    """Ask for a device code. Source: RFC 8628, section 3.1. Raises: BrokerError."""
    url = (await source.provider()).device_authorization_endpoint
    if not url:
        raise InvalidRequest("no device auth endpoint url discovered")
    return await _post(source, url, {"scope": " ".join(scopes(role))})


async def poll_device(source: Source, pending: Pending) -> Tokens:
    """Ask whether the user has gone through with it. Raises: StillPending, in the words of RFC 8628; BrokerError."""
    form = {"grant_type": DEVICE_GRANT, "device_code": pending.device_code}
    url = (await source.provider()).token_endpoint
    found = await _post(source, url, form, statuses=(200, 400, 401, 403, 428))
    error = found.get("error")
    if error in PENDING_WORDS:
        raise StillPending(str(error))
    if error is not None:
        raise InvalidRequest("authorization failed")
    return _tokens(found)


class StillPending(InvalidRequest):
    """The user has not gone through with it yet: poll again."""


async def user_info(source: Source, access_token: str, subject: str) -> Mapping[str, Any]:
    """Return what the provider tells of a user; nothing if it tells nothing, or not of this user."""
    url = (await source.provider()).userinfo_endpoint
    if not url or not access_token:
        return {}
    try:
        found = json_object(await source.ask("GET", url, headers={"Authorization": f"Bearer {access_token}"}))
    except BrokerError:
        return {}  # As in Vault: what cannot be had is not asked for.
    return found if found.get("sub") == subject else {}


async def _post(
    source: Source, url: str, form: Mapping[str, str], *, statuses: tuple[int, ...] = (200,)
) -> dict[str, Any]:
    """Send a form as this mount's client. Source: RFC 6749, section 2.3.1."""
    if not url:
        raise InvalidRequest("the provider names no such address")
    config, headers, body = source.config, dict(FORM), dict(form)
    methods = (await source.provider()).token_auth_methods
    if "client_secret_post" in methods and "client_secret_basic" not in methods:
        body.update(client_id=config.oidc_client_id, client_secret=config.oidc_client_secret)
    else:
        pair = f"{quote_plus(config.oidc_client_id)}:{quote_plus(config.oidc_client_secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        body["client_id"] = config.oidc_client_id
    answer = await source.ask("POST", url, headers=headers, body=urlencode(body).encode())
    return json_object(answer, statuses=statuses)


def _tokens(found: Mapping[str, Any]) -> Tokens:
    names = ("id_token", "access_token", "refresh_token")
    texts = [value if isinstance(value := found.get(name, ""), str) else "" for name in names]
    if not texts[0]:
        raise InvalidRequest("no id_token found in response")
    return Tokens(*texts)
