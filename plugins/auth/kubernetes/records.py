"""What is stored below a mount: ``config``, and ``role/<name>``, one record per role."""

import msgspec

from broker.plugin import TokenSettings

CONFIG = "config"
DEFAULT_ISSUER = "kubernetes/serviceaccount"


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to reach the cluster. The reviewer's token is never read back."""

    host: str
    v: int = 1
    ca_cert: str = ""
    token_reviewer_jwt: str = ""
    pem_keys: tuple[str, ...] = ()
    issuer: str = ""
    disable_iss_validation: bool = True
    disable_local_ca_jwt: bool = False

    def __repr__(self) -> str:
        return f"Config({self.host!r})"


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which service accounts may log in, and the tokens they get."""

    tokens: TokenSettings
    v: int = 1
    names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None
    namespace_selector: str = ""
    audience: str = ""
    alias_name_source: str = "serviceaccount_uid"


def role_path(name: str) -> str:
    """Return where a role is stored. Case does not count."""
    return f"role/{name.lower()}"
