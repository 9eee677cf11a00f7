"""Roles: checked when they are written, so that a login meets none that cannot work."""

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from broker.plugin import Context, InvalidRequest

from . import paths as p
from .claims import check_template
from .records import CLIENT, DEVICE, DIRECT, GLOB, Role

MAX_POLICY = 512
METADATA_TOKENS = ("id_token", "refresh_token", "access_token")
NOT_LOGGED = "verbose_oidc_logging has no effect: tokens and claims are never logged"


def changed(ctx: Context, known: Role | None, args: p.WriteRole) -> Role:
    """Return a role with what ``args`` gives put in. Raises: InvalidRequest, in Vault's words.

    As in Vault, a write that leaves out ``role_type``, ``bound_claims_type`` or ``callback_mode`` sets the default.
    """
    old = known or Role()
    role_type = args.role_type or "oidc"
    if role_type not in ("jwt", "oidc"):
        raise InvalidRequest("invalid 'role_type': expected jwt or oidc")
    tokens, templates = _tokens(old, args)
    role = Role(
        role_type=role_type,
        user_claim=_given(args.user_claim, old.user_claim),
        user_claim_json_pointer=_given(args.user_claim_json_pointer, old.user_claim_json_pointer),
        bound_audiences=_list(args.bound_audiences, old.bound_audiences),
        bound_subject=_given(args.bound_subject, old.bound_subject),
        bound_claims=_given(args.bound_claims, old.bound_claims),
        bound_claims_type=args.bound_claims_type,
        claim_mappings=_given(args.claim_mappings, old.claim_mappings),
        groups_claim=_given(args.groups_claim, old.groups_claim),
        expiration_leeway=_seconds(args.expiration_leeway, old.expiration_leeway),
        not_before_leeway=_seconds(args.not_before_leeway, old.not_before_leeway),
        clock_skew_leeway=_seconds(args.clock_skew_leeway, old.clock_skew_leeway),
        oidc_scopes=_list(args.oidc_scopes, old.oidc_scopes),
        allowed_redirect_uris=_list(args.allowed_redirect_uris, old.allowed_redirect_uris),
        oauth2_metadata=_list(args.oauth2_metadata, old.oauth2_metadata),
        callback_mode=args.callback_mode,
        oidc_disable_confirmation=_given(args.oidc_disable_confirmation, old.oidc_disable_confirmation),
        poll_interval=_given(args.poll_interval, old.poll_interval),
        max_age=_seconds(args.max_age, old.max_age),
        verbose_oidc_logging=_given(args.verbose_oidc_logging, old.verbose_oidc_logging),
        policy_templates=templates,
        tokens=tokens,
    )
    _check_claims(role)
    _check_flow(role)
    if role.verbose_oidc_logging:
        ctx.warn(NOT_LOGGED)
    return role


def _tokens(old: Role, args: p.WriteRole) -> tuple[Any, tuple[str, ...] | None]:
    """Token settings, and templates of policies where the role fills claims into their names."""
    templating = _given(args.token_policies_template_claims, old.policy_templates is not None)
    if not templating:
        if old.policy_templates is not None and args.token_policies is None and args.policies is None:
            args = dataclasses.replace(args, token_policies=list(old.policy_templates))
        return old.tokens.changed(args), None
    given = args.policies if args.token_policies is None else args.token_policies
    policies = given if given is not None else old.policy_templates or old.tokens.policies
    for policy in policies:
        if len(policy) > MAX_POLICY:
            raise InvalidRequest(f"failed to parse template policy: over {MAX_POLICY} characters")
        check_template(policy)
    return old.tokens.changed(dataclasses.replace(args, token_policies=[], policies=None)), tuple(policies)


def _check_claims(role: Role) -> None:
    if role.bound_claims_type not in ("string", GLOB):
        raise InvalidRequest("invalid 'bound_claims_type': expected string or glob")
    for name, wanted in (role.bound_claims or {}).items():
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if role.bound_claims_type == GLOB and not isinstance(value, str):
                raise InvalidRequest(f'bound claim "{name[:64]}" is not a string, or a list of strings')
            if not isinstance(value, str | bool | int | float):
                raise InvalidRequest(f'bound claim "{name[:64]}" is not a string, bool, number or list')
    targets = list((role.claim_mappings or {}).values())
    if "role" in targets:
        raise InvalidRequest('metadata key "role" is reserved and may not be a mapping destination')
    if len(set(targets)) != len(targets):
        raise InvalidRequest("multiple keys are mapped to one metadata key")
    if not role.user_claim:
        raise InvalidRequest("a user claim must be defined on the role")
    bound = role.bound_audiences or role.bound_subject or role.bound_claims or role.tokens.bound_cidrs
    if role.role_type == "jwt" and not bound:
        raise InvalidRequest("must have at least one bound constraint when creating/updating a role")


def _check_flow(role: Role) -> None:
    if role.callback_mode not in (CLIENT, DIRECT, DEVICE):
        raise InvalidRequest("invalid 'callback_mode': expected client, direct or device")
    if not set(METADATA_TOKENS).issuperset(role.oauth2_metadata or ()):
        raise InvalidRequest(f"Unrecognized oauth2 metadata name: expected {', '.join(METADATA_TOKENS)}")
    if role.role_type == "oidc" and not role.allowed_redirect_uris:
        raise InvalidRequest("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.")


def shown(role: Role) -> Mapping[str, Any]:
    """Return a role as a read answers it."""
    answer = {
        "allowed_redirect_uris": _shown(role.allowed_redirect_uris),
        "bound_audiences": _shown(role.bound_audiences),
        "bound_claims": role.bound_claims,
        "bound_claims_type": role.bound_claims_type,
        "bound_subject": role.bound_subject,
        "callback_mode": role.callback_mode,
        "claim_mappings": role.claim_mappings,
        "clock_skew_leeway": role.clock_skew_leeway,
        "expiration_leeway": role.expiration_leeway,
        "groups_claim": role.groups_claim,
        "max_age": role.max_age,
        "not_before_leeway": role.not_before_leeway,
        "oauth2_metadata": _shown(role.oauth2_metadata),
        "oidc_disable_confirmation": role.oidc_disable_confirmation,
        "oidc_scopes": _shown(role.oidc_scopes),
        "role_type": role.role_type,
        "token_policies_template_claims": role.policy_templates is not None,
        "user_claim": role.user_claim,
        "user_claim_json_pointer": role.user_claim_json_pointer,
        "verbose_oidc_logging": role.verbose_oidc_logging,
        **role.tokens.shown(),
    }
    if role.policy_templates is not None:
        answer["token_policies"] = list(role.policy_templates)
    if role.poll_interval:
        answer["poll_interval"] = role.poll_interval
    return answer


def _given(value: Any, known: Any) -> Any:
    return known if value is None else value


def _list(value: list[str] | None, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return known if value is None else tuple(value)


def _seconds(value: timedelta | None, known: int) -> int:
    return known if value is None else int(value.total_seconds())


def _shown(value: tuple[str, ...] | None) -> list[str] | None:
    return None if value is None else list(value)
