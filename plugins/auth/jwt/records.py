"""What the ``jwt`` and ``oidc`` methods store, below their mount.

``config`` Config, ``role/<name>`` Role, and ``pending/<group>/<place>`` Pending (``waiting``): a login at a provider's page that began and
has not ended yet.
"""

from typing import Any

import msgspec

from broker.plugin import TokenSettings

CONFIG = "config"
ROLE = "role/"
PENDING = "pending/"

GLOB = "glob"
CLIENT, DIRECT, DEVICE = "client", "direct", "device"
FORM_POST = "form_post"


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where keys come from, and the client that this mount is at an identity provider. ``stamp`` differs after each write."""

    stamp: str
    v: int = 1
    oidc_discovery_url: str = ""
    oidc_discovery_ca_pem: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_response_mode: str = ""
    oidc_response_types: tuple[str, ...] = ()
    jwks_url: str = ""
    jwks_ca_pem: str = ""
    jwt_validation_pubkeys: tuple[str, ...] = ()
    jwt_supported_algs: tuple[str, ...] = ()
    bound_issuer: str = ""
    default_role: str = ""
    provider: str = ""
    override_allowed_server_names: tuple[str, ...] = ()
    namespace_in_state: bool = True

    def __repr__(self) -> str:
        return f"Config({self.stamp!r})"  # the rest holds the client's secret

    @property
    def has_flow(self) -> bool:
        """Whether people can log in at the provider's page."""
        return bool(self.oidc_discovery_url and self.oidc_client_id and self.oidc_client_secret)


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tokens are taken and what logins with them get. ``None`` is what was never given. Leeways in seconds."""

    v: int = 1
    role_type: str = "jwt"
    user_claim: str = ""
    user_claim_json_pointer: bool = False
    bound_audiences: tuple[str, ...] | None = None
    bound_subject: str = ""
    bound_claims: dict[str, Any] | None = None
    bound_claims_type: str = "string"
    claim_mappings: dict[str, str] | None = None
    groups_claim: str = ""
    expiration_leeway: int = 0
    not_before_leeway: int = 0
    clock_skew_leeway: int = 0
    oidc_scopes: tuple[str, ...] | None = None
    allowed_redirect_uris: tuple[str, ...] | None = None
    oauth2_metadata: tuple[str, ...] | None = None
    callback_mode: str = CLIENT
    oidc_disable_confirmation: bool = False
    poll_interval: int = 0
    max_age: int = 0
    verbose_oidc_logging: bool = False
    policy_templates: tuple[str, ...] | None = None
    """Names of policies with claims to be filled in, in place of those in ``tokens``."""
    tokens: TokenSettings = TokenSettings()


class Approved(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom the provider vouched for: a login that its client has not fetched yet."""

    name: str
    metadata: dict[str, str]
    groups: tuple[str, ...] = ()
    policies: tuple[str, ...] | None = None


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login under way at a provider. ``client_nonce`` is the secret of the client that began it; times in Unix seconds.

    ``state`` is the SHA-256 of what it is known by, as hex.
    """

    role: str
    config: str
    expires_at: float
    v: int = 1
    state: str = ""
    redirect_uri: str = ""
    nonce: str = ""
    verifier: str = ""
    client_nonce: str = ""
    requester: str = ""
    code: str = ""
    id_token: str = ""
    device_code: str = ""
    approved: Approved | None = None

    def __repr__(self) -> str:
        return f"Pending({self.role!r})"  # the rest is what proves who began it
