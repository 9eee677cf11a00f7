"""What the method stores: ``config``, ``group/<name>`` and ``user/<name>``. Defaults are Vault's."""

import msgspec

from broker.plugin import TokenSettings

CONFIG = "config"
GROUP = "group/"
USER = "user/"
USER_FILTER = "({{.UserAttr}}={{.Username}})"
GROUP_FILTER = "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))"


class LdapConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the directory is, how it is asked, and what the tokens of its people get. Timeouts in seconds."""

    v: int = 1
    url: str = "ldap://127.0.0.1"
    userdn: str = ""
    userattr: str = "cn"
    userfilter: str = USER_FILTER
    upndomain: str = ""
    discoverdn: bool = False
    binddn: str = ""
    bindpass: str = ""
    groupdn: str = ""
    groupfilter: str = GROUP_FILTER
    groupattr: str = "cn"
    nested_groups: bool = False
    use_token_groups: bool = False
    use_pre111_group_cn_behavior: bool = False
    anonymous_group_search: bool = False
    starttls: bool = False
    insecure_tls: bool = False
    certificate: str = ""
    client_tls_cert: str = ""
    client_tls_key: str = ""
    tls_min_version: str = "tls12"
    tls_max_version: str = "tls12"
    deny_null_bind: bool = True
    case_sensitive_names: bool = False
    username_as_alias: bool = False
    request_timeout: int = 90
    connection_timeout: int = 30
    dereference_aliases: str = "never"
    max_page_size: int = 0
    tokens: TokenSettings = TokenSettings()

    def __repr__(self) -> str:
        return f"LdapConfig(url={self.url!r})"  # the rest holds a password and a key

    @property
    def has_account(self) -> bool:
        """Whether the server can ask the directory by itself."""
        return bool(self.binddn and self.bindpass)

    @property
    def searches(self) -> bool:
        """Whether people are searched for; otherwise their names are put together."""
        return self.discoverdn or self.has_account


SECRET_FIELDS = frozenset(("bindpass", "client_tls_cert", "client_tls_key"))
"""Never read back."""


class GroupRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a group of the directory, or one given to users here, is worth."""

    v: int = 1
    policies: tuple[str, ...] = ()


class UserRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one person gets beyond what the directory says."""

    v: int = 1
    policies: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
