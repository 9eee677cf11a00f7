"""What ``auth/kubernetes`` takes. Source: Vault's Kubernetes auth API documentation."""

from dataclasses import dataclass
from typing import Annotated

from broker.plugin import Field, Secret, TokenParams
from broker.plugin.tokenparams import OldBoundCidrs, OldMaxTtl, OldNumUses, OldPeriod, OldPolicies, OldTtl

MAX_JWT = 16 * 1024
MAX_PEM = 256 * 1024
MAX_LIST = 1024
MAX_SELECTOR = 4096

Name = Annotated[str, Field("Name of the role; case does not count.", max_length=256)]


@dataclass(frozen=True, slots=True)
class WriteConfig:
    kubernetes_host: Annotated[str, Field("URL of the cluster's API server.", max_length=2048)] = ""
    kubernetes_ca_cert: Annotated[
        str, Field("CA of the API server, PEM; of the pod Broker runs in if left out.", max_length=MAX_PEM)
    ] = ""
    token_reviewer_jwt: Annotated[
        Secret[str] | None,
        Field("Token that may review tokens; the one that logs in is used if left out.", max_length=MAX_JWT),
    ] = None
    pem_keys: Annotated[
        list[str] | None, Field("Public keys or certificates that sign the accounts' tokens.", max_length=32)
    ] = None
    issuer: Annotated[str, Field("Issuer that tokens must name.", max_length=2048, deprecated=True)] = ""
    disable_iss_validation: Annotated[bool, Field("Whether tokens may name any issuer.", deprecated=True)] = (
        True
    )
    disable_local_ca_jwt: Annotated[
        bool, Field("Do not use the CA and token of the pod that Broker runs in.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(TokenParams):
    name: Name
    bound_service_account_names: Annotated[
        list[str] | None, Field("Names of accounts, with *; * alone for all.", max_length=MAX_LIST)
    ] = None
    bound_service_account_namespaces: Annotated[
        list[str] | None, Field("Their namespaces, with *; * alone for all.", max_length=MAX_LIST)
    ] = None
    bound_service_account_namespace_selector: Annotated[
        str,
        Field(
            'Labels that a namespace may have instead, as {"matchLabels": {...}}; JSON or YAML.',
            max_length=MAX_SELECTOR,
        ),
    ] = ""
    audience: Annotated[str | None, Field("Audience that tokens must name.", max_length=1024)] = None
    alias_name_source: Annotated[
        str | None, Field("serviceaccount_uid, or serviceaccount_name: NAMESPACE/NAME.")
    ] = None
    policies: OldPolicies = None
    ttl: OldTtl = None
    max_ttl: OldMaxTtl = None
    period: OldPeriod = None
    num_uses: OldNumUses = None
    bound_cidrs: OldBoundCidrs = None


@dataclass(frozen=True, slots=True)
class NamedRole:
    name: Name


@dataclass(frozen=True, slots=True)
class LogIn:
    role: Annotated[str, Field("Name of the role.", max_length=256)] = ""
    jwt: Annotated[Secret[str] | None, Field("The service account's token.", max_length=MAX_JWT)] = None
