"""``identity/oidc/token``: signed proof of who a caller is, for others; and what those others need to check it.

Source: Vault's identity tokens API documentation; OpenID Connect Discovery 1.0.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from broker.access.identity import store
from broker.access.identity.claims import fill
from broker.access.identity.membership import memberships
from broker.access.identity.oidc import CONFIG, PUBLISHED, ROLE, Published, TokenConfig, TokenRole
from broker.access.identity.records import EntityRecord
from broker.access.identity.signing import ALGORITHMS, BadToken, key_id, sign, verify
from broker.core.entities import person_of
from broker.core.identity.oidc_keys import Named, key_to_use
from broker.core.identity.parts import IdentityBase
from broker.plugin.context import Context
from broker.plugin.errors import InvalidRequest
from broker.plugin.fields import Field, Nothing
from broker.plugin.messages import Plain, Response
from broker.plugin.paths import Operation, Path
from broker.plugin.secret import Secret

MAX_TOKEN = 131_072
_EXPLICIT = (
    'If "issuer" is set explicitly, all tokens must be validated against that address, including those issued by '
    'secondary clusters. Setting issuer to "" will restore the default behavior of using the cluster\'s api_addr as the '
    "issuer."
)


@dataclass(frozen=True, slots=True)
class WriteConfig:
    issuer: Annotated[
        str, Field("Scheme, host and port that tokens name; empty for api_addr.", max_length=512)
    ] = ""


@dataclass(frozen=True, slots=True)
class Introspect:
    token: Annotated[Secret[str], Field("The identity token.", max_length=MAX_TOKEN)] = Secret("")  # noqa: RUF009 - immutable
    client_id: Annotated[str, Field("The audience it must be for.", max_length=512)] = ""


async def read_config(engine: IdentityBase, ctx: Context, args: Nothing) -> dict[str, Any]:
    config = await ctx.storage.load(CONFIG, TokenConfig) or TokenConfig()
    return {"issuer": config.issuer}


async def write_config(engine: IdentityBase, ctx: Context, args: WriteConfig) -> Response | None:
    if args.issuer and not _is_origin(args.issuer):
        raise InvalidRequest(
            "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)"
        )
    ctx.storage.save(CONFIG, TokenConfig(args.issuer))
    return Response(warnings=[_EXPLICIT]) if args.issuer else None


def _is_origin(text: str) -> bool:
    try:
        found = urlsplit(text)
        plain = f"{found.scheme}://{found.netloc}" == text and "@" not in found.netloc and found.port != 0
    except ValueError:
        return False
    return plain and found.scheme in ("http", "https") and bool(found.hostname) and text.isprintable()


async def issuer_of(engine: IdentityBase, ctx: Context) -> str:
    """Return the issuer of this namespace's tokens. Raises: InvalidRequest if nobody said what it is.

    Never taken from the request: whoever asks would choose what tokens say.
    """
    config = await ctx.storage.load(CONFIG, TokenConfig) or TokenConfig()
    origin = config.issuer or engine.settings.api_addr
    if not origin:
        raise InvalidRequest(
            "no issuer: set issuer at identity/oidc/config, or api_addr in the server's configuration"
        )
    return f"{origin.rstrip('/')}/v1/{ctx.namespace.path}identity/oidc"


async def token(engine: IdentityBase, ctx: Context, args: Named) -> dict[str, Any]:
    """Return a token that says who the caller is, for the role's audience."""
    found = await _caller(ctx)
    role = await ctx.storage.load(ROLE + args.name, TokenRole)
    if role is None:
        raise InvalidRequest(f'role "{args.name}" not found')
    key = await key_to_use(ctx, role.key)
    if key is None:
        raise InvalidRequest(f'key "{role.key}" not found')
    if "*" not in key.allowed_client_ids and role.client_id not in key.allowed_client_ids:
        raise InvalidRequest(
            f'the key "{key.name}" does not list the client ID of the role "{role.name}" as an allowed client ID'
        )
    ttl = min(role.ttl, key.verification_ttl)
    person = person_of(found, await memberships(ctx.transaction, found))
    claims = {
        **fill(role.template, person, now=ctx.now),
        "iss": await issuer_of(engine, ctx),
        "sub": found.id,
        "aud": role.client_id,
        "namespace": ctx.namespace.id,
        "iat": int(ctx.now),
        "exp": int(ctx.now) + ttl,
    }
    pair = key.current
    made = await ctx.blocking(_signed, claims, pair.private, pair.kid, pair.public["alg"])
    return {"client_id": role.client_id, "token": Secret(made), "ttl": ttl}


def _signed(claims: dict[str, Any], private: str, kid: str, algorithm: str) -> str:
    return sign(claims, private, kid=kid, algorithm=algorithm)


async def _caller(ctx: Context) -> EntityRecord:
    """Return the caller's entity, which is one of this namespace. Raises: InvalidRequest."""
    home = ctx.caller.namespace
    known = ctx.caller.entity_id if home is not None and home.uuid == ctx.namespace.uuid else ""
    found = await store.entity_or_heir(ctx.transaction, known) if known else None
    if found is None:
        raise InvalidRequest("no entity associated with the request's token")
    return found


async def introspect(engine: IdentityBase, ctx: Context, args: Introspect) -> Plain:
    """Tell whether a token of ours holds: signed, in time, for this audience, and its entity in good standing."""
    try:
        await _judge(engine, ctx, args)
    except BadToken as error:
        return Plain({"active": False, "error": str(error)})
    return Plain({"active": True})


async def _judge(engine: IdentityBase, ctx: Context, args: Introspect) -> None:
    text = args.token.reveal()
    published = await ctx.storage.load(PUBLISHED, Published) or Published()
    public = published.by_id(key_id(text))
    if public is None:
        raise BadToken("unable to validate the token signature")
    claims = verify(
        text, public, issuer=await issuer_of(engine, ctx), audience=args.client_id or None, now=ctx.now
    )
    found = await store.entity_or_heir(ctx.transaction, str(claims["sub"]))
    if found is None:
        raise BadToken("entity was not found")
    if found.disabled:
        raise BadToken("entity is disabled")


async def discovery(engine: IdentityBase, ctx: Context, args: Nothing) -> Plain:
    issuer = await issuer_of(engine, ctx)
    return Plain(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(ALGORITHMS),
        }
    )


async def keys(engine: IdentityBase, ctx: Context, args: Nothing) -> Plain:
    published = await ctx.storage.load(PUBLISHED, Published) or Published()
    return Plain(published.document())


PATHS = (
    Path(
        "oidc/config",
        "The issuer of identity tokens.",
        read=Operation(Nothing, dict, calls=read_config),
        update=Operation(WriteConfig, None, calls=write_config),
    ),
    Path("oidc/token/{name}", "A signed token of a role.", read=Operation(Named, dict, calls=token)),
    Path(
        "oidc/introspect",
        "Whether an identity token holds.",
        update=Operation(Introspect, dict, calls=introspect),
    ),
    Path(
        "oidc/.well-known/openid-configuration",
        "Where verifiers find what they need.",
        read=Operation(Nothing, dict, calls=discovery, authenticated=False),
    ),
    Path(
        "oidc/.well-known/keys",
        "The public keys of identity tokens.",
        read=Operation(Nothing, dict, calls=keys, authenticated=False),
    ),
)
