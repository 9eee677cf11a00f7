"""Logins at a provider's page: an address to open, an answer that comes back, a token for whoever began.

Who may have the token is the client that began: it proves so with ``client_nonce``. In ``client`` mode the provider's answer goes
to that client, which hands it in; in ``direct`` mode the browser brings it here, its user confirms, and the client polls;
in ``device`` mode the client polls and we ask the provider.
"""

import hmac
import logging
from base64 import urlsafe_b64encode
from collections import OrderedDict
from urllib.parse import urlencode

import msgspec

from broker.plugin import (
    Auth,
    BrokerError,
    Context,
    InvalidRequest,
    Mount,
    Operation,
    Path,
    Plain,
    Raw,
    Response,
    Secret,
    UnsupportedOperation,
)

from . import exchange, idtoken, pages, waiting
from . import paths as p
from .exchange import Tokens
from .logins import approve, auth_of
from .method import JwtMethod, named_role
from .records import DEVICE, DIRECT, FORM_POST, Approved, Config, Pending, Role
from .redirects import allowed_redirect, without_namespace

log = logging.getLogger("broker.auth.jwt")

LIFETIME = 600.0
POLL_SECONDS = 5
FAILED = "Vault login failed."
EXPIRED = f"{FAILED} Expired or missing OAuth state."
NOT_CONFIGURED = "OIDC login is not configured for this mount"
NO_CODE = "no_code"
MAX_REDEEMED = 64
ERRORS = frozenset(
    (
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
    )
)


class OidcMethod(JwtMethod):
    """Signed tokens, and people at a provider's page."""

    def __init__(self, mount: Mount) -> None:
        super().__init__(mount)
        self._redeemed: OrderedDict[tuple[str, str], Tokens] = OrderedDict()

    async def auth_url(self, ctx: Context, args: p.AuthUrl) -> dict[str, str]:
        """Begin a login: return the address to open. It is empty for what the role does not allow, as in Vault."""
        config = await self.config(ctx)
        if not config.has_flow:
            raise InvalidRequest(NOT_CONFIGURED)
        name = named_role(args.role, config)
        role = await self.role(ctx, name)
        if role is None:
            raise InvalidRequest(f'role "{name}" could not be found')
        if role.callback_mode in (DIRECT, DEVICE) and not args.client_nonce:
            raise InvalidRequest("missing client_nonce")
        begun = Pending(
            role=name,
            config=config.stamp,
            expires_at=ctx.now + LIFETIME,
            nonce="n_" + _random(ctx),
            verifier=_random(ctx, 32),
            client_nonce=_text(args.client_nonce),
            requester=ctx.connection.remote_address,
        )
        if role.role_type != "oidc":
            return {"auth_url": ""}
        if role.callback_mode == DEVICE:
            return await self._begin_device(ctx, config, role, begun)
        if not args.redirect_uri:
            raise InvalidRequest("missing redirect_uri")
        return await self._begin(ctx, config, role, begun, args.redirect_uri)

    async def _begin(
        self, ctx: Context, config: Config, role: Role, begun: Pending, redirect_uri: str
    ) -> dict[str, str]:
        uri, namespace = without_namespace(redirect_uri) if config.namespace_in_state else (redirect_uri, "")
        if not allowed_redirect(uri, role.allowed_redirect_uris or ()):
            log.warning("oidc.redirect_uri_not_allowed role=%s", begun.role)
            return {"auth_url": ""}
        if config.oidc_response_mode == FORM_POST:
            uri = uri.replace("ui/vault", "v1", 1)
        begun = msgspec.structs.replace(begun, redirect_uri=uri)
        try:
            provider = await self.source(config).provider()
        except BrokerError:
            return {"auth_url": ""}  # logged where it failed
        state = await waiting.keep(ctx, begun)
        shown = f"{state},ns={namespace}" if namespace else state
        answer = {"auth_url": exchange.page_url(provider, config, role, begun, shown)}
        if role.callback_mode == DIRECT:
            answer |= {"state": state, "poll_interval": str(role.poll_interval or POLL_SECONDS)}
        return answer

    async def _begin_device(self, ctx: Context, config: Config, role: Role, begun: Pending) -> dict[str, str]:
        found = await exchange.begin_device(self.source(config), role)
        code, interval = found.get("device_code"), found.get("interval")
        whole = found.get("verification_uri_complete") or found.get("verification_url_complete")
        url = whole or found.get("verification_uri") or found.get("verification_url")
        if not isinstance(code, str) or not isinstance(url, str):
            raise InvalidRequest("the provider's answer names no device_code or verification_uri")
        state = await waiting.keep(ctx, msgspec.structs.replace(begun, device_code=code))
        answer = {"auth_url": url, "state": state}
        if not whole:
            answer["user_code"] = str(found.get("user_code", ""))
        told = interval if isinstance(interval, int) and 0 < interval <= 600 else POLL_SECONDS
        return {**answer, "poll_interval": str(role.poll_interval or told)}

    async def wake(self, ctx: Context, name: str) -> None:
        """Forget logins that were not finished in time."""
        await waiting.sweep(ctx, name)

    # What comes back

    async def callback_post(self, ctx: Context, args: p.Callback) -> Raw:
        """Keep what a provider had the browser post here, and send the browser on; nothing is judged yet."""
        config = await self.config(ctx)
        if config.oidc_response_mode != FORM_POST:
            raise UnsupportedOperation
        state = _state(args.state)
        begun = await waiting.find(ctx, state)
        if begun is None or begun.code or begun.id_token or begun.approved is not None:
            return pages.failed(EXPIRED)
        kept = msgspec.structs.replace(begun, code=_text(args.code), id_token=_text(args.id_token))
        waiting.update(ctx, state, kept)
        query = {"code": NO_CODE, "state": state} | ({"error": args.error[:64]} if args.error else {})
        role = await self.role(ctx, begun.role)
        if role is not None and role.callback_mode == DIRECT:
            return pages.go_on(f"{self._here(ctx)}?{urlencode(query)}")
        if ctx.namespace.path:
            query["namespace"] = ctx.namespace.path.rstrip("/")
        return pages.go_on(f"/ui/vault/auth/{ctx.mount.path}oidc/callback?{urlencode(query)}")

    async def callback(self, ctx: Context, args: p.Callback) -> Auth | Plain | Raw:
        """Take a provider's answer. Whatever becomes of it, the state it came with is used up."""
        config = await self.config(ctx)
        state = _state(args.state)
        begun = await waiting.find(ctx, state)
        if begun is None or begun.approved is not None or begun.device_code or begun.config != config.stamp:
            raise InvalidRequest(EXPIRED)
        role = await self.role(ctx, begun.role)
        direct = role is not None and role.callback_mode == DIRECT
        if direct and role is not None and not role.oidc_disable_confirmation and not args.confirmation:
            fields = {"state": state, "code": _text(args.code), "error": args.error}
            given = {name: value for name, value in fields.items() if value}
            return pages.confirm(self._here(ctx), given, requester=begun.requester, role=begun.role)
        waiting.forget(ctx, state)
        try:
            if role is None:
                raise InvalidRequest(f"{FAILED} Role could not be found")
            approved = await self._judge(ctx, config, begun, role, args)
        except InvalidRequest as error:
            # Not raised: a request that fails stores nothing, and the state would be good again.
            return pages.failed(str(error)) if direct else Plain({"errors": [str(error)]}, status=400)
        if direct:
            waiting.update(ctx, state, msgspec.structs.replace(begun, approved=approved))
            return pages.succeeded()
        return auth_of(begun.role, role, approved)

    async def _judge(
        self, ctx: Context, config: Config, begun: Pending, role: Role, args: p.Callback
    ) -> Approved:
        """Find out whom the provider vouches for. Raises: InvalidRequest; PermissionDenied."""
        if args.error:
            known = args.error.strip().lower()
            log.warning("oidc.refused_by_provider error=%s", known if known in ERRORS else "other")
            raise InvalidRequest(
                f"{FAILED} {known}"
                if known in ERRORS
                else f"{FAILED} An unknown error occurred during OIDC authentication. Check server logs for details"
            )
        if role.callback_mode != DIRECT and begun.client_nonce and not _same(args.client_nonce, begun):
            raise InvalidRequest("invalid client_nonce")
        role.tokens.check_source(ctx.connection.remote_address)
        code = _text(args.code)
        code = begun.code if code == NO_CODE else code
        if code:
            tokens = await self._redeem(ctx, config, begun, code)
        elif begun.id_token:
            tokens = Tokens(begun.id_token)
        else:
            raise InvalidRequest(f"{FAILED} No code or id_token received.")
        return await self._approve(ctx, config, begun, role, tokens)

    async def _redeem(self, ctx: Context, config: Config, begun: Pending, code: str) -> Tokens:
        """Exchange a code, once per request: if the request runs again after a conflict, the code is spent already."""
        key = (ctx.request_id, begun.nonce)
        if key not in self._redeemed:
            try:
                self._redeemed[key] = await exchange.redeem(self.source(config), begun, code)
            except BrokerError as error:
                log.warning("oidc.exchange_failed reason=%s", error)
                raise InvalidRequest(f"{FAILED} Error exchanging oidc code.") from None
            while len(self._redeemed) > MAX_REDEEMED:
                self._redeemed.popitem(last=False)
        return self._redeemed[key]

    async def _approve(
        self, ctx: Context, config: Config, begun: Pending, role: Role, tokens: Tokens
    ) -> Approved:
        source = self.source(config)
        claims = await idtoken.verify(
            source,
            tokens.id_token,
            nonce="" if begun.device_code else begun.nonce,
            accepted=role.bound_audiences or (),
            access_token=tokens.access_token,
            max_age=role.max_age,
            now=ctx.now,
        )
        subject = claims["sub"]
        if role.bound_subject and role.bound_subject != subject:
            raise InvalidRequest(f"{FAILED} sub claim does not match bound subject")
        claims = idtoken.merged(claims, await exchange.user_info(source, tokens.access_token, subject))
        metadata = {f"oauth2_{name}": getattr(tokens, name) for name in role.oauth2_metadata or ()}
        try:
            return approve(begun.role, role, claims, metadata)
        except InvalidRequest as error:
            raise InvalidRequest(f"{FAILED} {error}") from None

    # What is fetched

    async def poll(self, ctx: Context, args: p.Poll) -> Auth | Plain:
        """Return the token of a direct or device login to the client that began it; 400 ``authorization_pending`` until then."""
        state = _state(args.state)
        begun = await waiting.find(ctx, state)
        if begun is None:
            raise InvalidRequest(EXPIRED)
        if not _same(args.client_nonce, begun):
            raise InvalidRequest("invalid client_nonce")  # and who began can go on
        role = await self.role(ctx, begun.role)
        if role is None:
            raise InvalidRequest(f"{FAILED} Role could not be found")
        approved = begun.approved
        if begun.device_code:
            role.tokens.check_source(ctx.connection.remote_address)
            try:
                approved = await self._poll_device(ctx, begun, role)
            except exchange.StillPending:
                raise
            except InvalidRequest as error:
                waiting.forget(ctx, state)
                return Plain({"errors": [str(error)]}, status=400)
        if approved is None:
            raise InvalidRequest("authorization_pending")
        role.tokens.check_source(ctx.connection.remote_address)
        waiting.forget(ctx, state)
        return auth_of(begun.role, role, approved)

    async def _poll_device(self, ctx: Context, begun: Pending, role: Role) -> Approved:
        config = await self.config(ctx)
        if config.stamp != begun.config:
            raise InvalidRequest(EXPIRED)
        key = (ctx.request_id, begun.nonce)
        if key not in self._redeemed:
            self._redeemed[key] = await exchange.poll_device(self.source(config), begun)
        return await self._approve(ctx, config, begun, role, self._redeemed[key])

    def _here(self, ctx: Context) -> str:
        return f"/v1/{ctx.namespace.path}{ctx.mount.prefix}oidc/callback"

    PATHS = (
        *JwtMethod.PATHS,
        Path(
            "oidc/auth_url",
            "Begin a login at the provider's page.",
            update=Operation(p.AuthUrl, dict, calls=auth_url, authenticated=False),
        ),
        Path(
            "oidc/callback",
            "Take the provider's answer.",
            read=Operation(p.Callback, Auth, calls=callback, authenticated=False),
            update=Operation(p.Callback, Response, calls=callback_post, authenticated=False),
        ),
        Path(
            "oidc/poll",
            "Fetch the token of a login that went on elsewhere.",
            update=Operation(p.Poll, Auth, calls=poll, authenticated=False),
        ),
    )


def _state(given: str) -> str:
    return given.partition(",ns=")[0]


def _random(ctx: Context, size: int = 24) -> str:
    return urlsafe_b64encode(ctx.random(size)).rstrip(b"=").decode()


def _text(value: Secret[str] | None) -> str:
    return value.reveal() if value is not None else ""


def _same(given: Secret[str] | None, begun: Pending) -> bool:
    return hmac.compare_digest(_text(given).encode("utf-8", "replace"), begun.client_nonce.encode())
