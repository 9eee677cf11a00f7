"""The policies of a tenant, stored parsed, and the compiled ACL of a token."""

from broker.access.policy.acl import ACL
from broker.access.policy.default_policies import RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT
from broker.access.policy.parse import parse_policy
from broker.access.policy.template import Identity, expand
from broker.access.records import PolicyRecord
from broker.storage.transaction import Transaction

POLICY = "sys/policy/"
MAX_COMPILED = 1024
NOBODY = Identity()
"""A token without an entity: templated grants give nothing, templated denials hold."""

BUILT_IN = {
    RESPONSE_WRAPPING: PolicyRecord(
        RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT, parse_policy(RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT)
    )
}
"""The same in every tenant and never stored: nobody can change them."""


class PolicyStore:
    """Load policies and keep compiled ACLs, each good exactly as long as the records it was compiled from."""

    def __init__(self) -> None:
        self._compiled: dict[
            tuple[tuple[str, ...], str], tuple[tuple[PolicyRecord | None, ...], Identity, ACL]
        ] = {}

    async def load(self, tx: Transaction, name: str) -> PolicyRecord | None:
        return BUILT_IN.get(name) or await tx.load(POLICY + name, PolicyRecord)

    async def acl(self, tx: Transaction, names: tuple[str, ...], person: Identity = NOBODY) -> ACL:
        """Return the ACL of the named policies, their templates filled in for ``person``.

        Names of policies that do not exist grant nothing.
        """
        load = tx.load
        records = tuple([BUILT_IN.get(name) or await load(POLICY + name, PolicyRecord) for name in names])
        templated = any(record.parsed.templated for record in records if record is not None)
        whom = person if templated else NOBODY  # else the rules are the same for everybody
        key = names, whom.id
        known = self._compiled.get(key)
        if known is not None and _same(known[0], records) and known[1] == whom:
            return known[2]
        policies = [expand(record.parsed, whom) for record in records if record is not None]
        acl = ACL(policies, root="root" in names)
        if len(self._compiled) >= MAX_COMPILED:
            self._compiled.pop(next(iter(self._compiled)))
        self._compiled[key] = (records, whom, acl)
        return acl

    def forget(self) -> None:
        self._compiled.clear()


def _same(left: tuple[object, ...], right: tuple[object, ...]) -> bool:
    return all(one is other for one, other in zip(left, right, strict=True))
