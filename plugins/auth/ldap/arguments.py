"""What the paths take."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from broker.plugin import Field, Secret, TokenParams

Text = str | None
Flag = bool | None
TLS_VERSIONS = ("tls10", "tls11", "tls12", "tls13")
ALIASES = ("never", "finding", "searching", "always")
MAX_TIMEOUT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteConfig(TokenParams):
    """What is left out stays as it was."""

    url: Annotated[Text, Field("ldap:// or ldaps:// URLs, with commas between; tried in this order.")] = None
    userdn: Annotated[Text, Field("Where people are.")] = None
    userattr: Annotated[Text, Field("The attribute that holds the name people log in with.")] = None
    userfilter: Annotated[Text, Field("Filter that finds a person: {{.UserAttr}}, {{.Username}}.")] = None
    upndomain: Annotated[Text, Field("Active Directory: people log in as USERNAME@UPNDOMAIN.")] = None
    discoverdn: Annotated[Flag, Field("Search for people anonymously instead of composing their names.")] = (
        None
    )
    binddn: Annotated[Text, Field("The account that searches.")] = None
    bindpass: Annotated[Secret[str] | None, Field("Its password. It is not read back.")] = None
    groupdn: Annotated[Text, Field("Where groups are.")] = None
    groupfilter: Annotated[
        Text, Field("Filter that finds the groups of a person: {{.UserDN}}, {{.Username}}.")
    ] = None
    groupattr: Annotated[Text, Field("The attribute of what was found that names the groups.")] = None
    nested_groups: Annotated[
        Flag, Field("Search for the groups that the groups found are in, and so on.")
    ] = None
    use_token_groups: Annotated[Flag, Field("Active Directory: read tokenGroups of the person.")] = None
    use_pre111_group_cn_behavior: Annotated[Flag, Field("Only CN in capitals names a group.")] = None
    anonymous_group_search: Annotated[Flag, Field("Search for groups anonymously.")] = None
    starttls: Annotated[Flag, Field("Turn to TLS on an ldap:// connection before anything else.")] = None
    insecure_tls: Annotated[Flag, Field("Do not verify the directory's certificate. Dangerous.")] = None
    certificate: Annotated[Text, Field("PEM certificates of the CAs that may have signed it.")] = None
    client_tls_cert: Annotated[Text, Field("PEM client certificate.")] = None
    client_tls_key: Annotated[Secret[str] | None, Field("Its PEM key. It is not read back.")] = None
    tls_min_version: Annotated[Text, Field("The lowest version of TLS; 1.2 at least is spoken.")] = None
    tls_max_version: Annotated[Text, Field("The highest version of TLS.")] = None
    deny_null_bind: Annotated[
        Flag, Field("Kept for Vault's sake: a login without a password is refused in any case.")
    ] = None
    case_sensitive_names: Annotated[Flag, Field("Whether names of users and groups differ by case.")] = None
    username_as_alias: Annotated[Flag, Field("Find entities by the login name.")] = None
    request_timeout: Annotated[
        timedelta | None, Field("Deadline of each request.", minimum=0, maximum=MAX_TIMEOUT)
    ] = None
    connection_timeout: Annotated[
        timedelta | None, Field("Deadline of a connection to each URL.", minimum=0, maximum=MAX_TIMEOUT)
    ] = None
    dereference_aliases: Annotated[Text, Field("When aliases are followed.", choices=ALIASES)] = None
    max_page_size: Annotated[
        int | None,
        Field("Ask for results in pages of this size; 0 for all at once.", minimum=0, maximum=10_000),
    ] = None


@dataclass(frozen=True, slots=True)
class OneName:
    name: Annotated[str, Field("The name.")]


@dataclass(frozen=True, slots=True)
class WriteGroup:
    name: Annotated[str, Field("Name of the group.")]
    policies: Annotated[list[str] | None, Field("Policies that its members get.")] = None


@dataclass(frozen=True, slots=True)
class WriteUser:
    name: Annotated[str, Field("Name that the person logs in with.")]
    policies: Annotated[list[str] | None, Field("Policies that the person gets.")] = None
    groups: Annotated[
        list[str] | None, Field("Groups that the person is in beyond those of the directory.")
    ] = None


@dataclass(frozen=True, slots=True)
class LogIn:
    username: Annotated[str, Field("The name.")]
    password: Annotated[Secret[str], Field("The password in the directory.")] = Secret("")  # noqa: RUF009
