"""The JSON shape of a record, field by field in Vault's order. What is empty is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.audit.entry import PolicyResults


class AuthShape(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """``auth``. ``token_issue_time`` is RFC 3339 in whole seconds, UTC."""

    client_token: str = ""
    accessor: str = ""
    display_name: str = ""
    policies: Sequence[str] = ()
    token_policies: Sequence[str] = ()
    identity_policies: Sequence[str] = ()
    no_default_policy: bool = False
    policy_results: PolicyResults | None = None
    metadata: Mapping[str, str] = {}
    num_uses: int = 0
    remaining_uses: int = 0
    entity_id: str = ""
    entity_created: bool = False
    token_type: str
    token_ttl: int = 0
    token_issue_time: str = ""


class NamespaceShape(msgspec.Struct, omit_defaults=True, gc=False):
    """``request.namespace``."""

    id: str = ""
    path: str = ""


class RequestShape(msgspec.Struct, omit_defaults=True, gc=False):
    """``request``. Times in seconds."""

    id: str = ""
    client_id: str = ""
    operation: str = ""
    mount_point: str = ""
    mount_type: str = ""
    mount_accessor: str = ""
    mount_running_version: str = ""
    mount_class: str = ""
    client_token: str = ""
    client_token_accessor: str = ""
    namespace: NamespaceShape | None = None
    path: str = ""
    data: Any = None
    remote_address: str = ""
    remote_port: int = 0
    wrap_ttl: int = 0
    headers: Mapping[str, Sequence[str]] | None = None
    client_certificate_serial_number: str = ""


class SecretShape(msgspec.Struct, omit_defaults=True, gc=False):
    """``response.secret``."""

    lease_id: str = ""


class WrapShape(msgspec.Struct, omit_defaults=True, gc=False):
    """``response.wrap_info``."""

    ttl: int = 0
    token: str = ""
    accessor: str = ""
    creation_time: str = ""
    creation_path: str = ""
    wrapped_accessor: str = ""


class ResponseShape(msgspec.Struct, omit_defaults=True, gc=False):
    """``response``."""

    auth: msgspec.Raw | None = None
    mount_point: str = ""
    mount_type: str = ""
    mount_accessor: str = ""
    mount_running_plugin_version: str = ""
    mount_class: str = ""
    secret: SecretShape | None = None
    data: Any = None
    warnings: Sequence[str] = ()
    redirect: str = ""
    wrap_info: WrapShape | None = None
    headers: Mapping[str, Sequence[str]] | None = None
