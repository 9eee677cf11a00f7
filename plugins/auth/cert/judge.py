"""Which role does the certificate of a connection open, if any?"""

from collections.abc import AsyncIterator, Sequence

from cryptography import x509

from broker.plugin import Context, InvalidRequest

from . import crls, roles
from .bundle import Bundle, read_bundle
from .chain import MAX_OFFERED, Chain, Walk
from .identity import Identity
from .ocsp import Responders
from .profile import Refused, check_leaf, is_authority, read_der
from .records import Config, Role, fingerprint

NO_CERTIFICATE = "no client certificate found"
STRANGER = "invalid certificate or no client certificate supplied"
NO_MATCH = "no chain matching all constraints could be found for this login certificate"


class Presented:
    """What the client showed in the TLS handshake: its own certificate, and authorities it sent along."""

    def __init__(self, chain: Sequence[bytes], now: float) -> None:
        """Raises: Refused."""
        if len(chain) > MAX_OFFERED:
            raise Refused("too many certificates")
        self.leaf = read_der(chain[0])
        self.offered = tuple(filter(is_authority, map(read_der, chain[1:])))
        self.identity = Identity(self.leaf)
        self.walk = Walk(self.leaf, self.offered, now)


async def judge(ctx: Context, name: str, responders: Responders, config: Config) -> tuple[Role, Identity]:
    """Return the first role that the client's certificate opens (``name`` alone, if given), and who it says it is.

    Raises: InvalidRequest, in Vault's words: without a certificate, for a stranger, or for one that no role wants.
    """
    if not ctx.connection.client_cert_chain:
        raise InvalidRequest(NO_CERTIFICATE)
    try:
        shown = Presented(ctx.connection.client_cert_chain, ctx.now)
        check_leaf(shown.leaf, ctx.now)
    except Exception:  # anybody may show anything: what cannot be read is a stranger's
        raise InvalidRequest(STRANGER) from None
    known = False
    async for role, chain, bundle in _candidates(ctx, shown, name):
        known = True
        behind = (*bundle.others, *shown.offered)
        if not shown.identity.satisfies(role):
            continue
        try:
            await crls.check_chain(ctx, chain, behind)
            if role.ocsp_enabled:
                issuers = chain[1:2] or behind
                await responders.check(ctx, role, shown.leaf, issuers, config.ocsp_cache_size)
        except Refused:
            continue
        return role, shown.identity
    raise InvalidRequest(NO_MATCH if known else STRANGER)


async def _candidates(ctx: Context, shown: Presented, name: str) -> AsyncIterator[tuple[Role, Chain, Bundle]]:
    """Yield roles that trust the certificate and how they come to: those that pin it first, each kind by name."""
    if name:
        role = await roles.load(ctx.storage, name) if roles.is_name(name) else None
        if role is not None:
            for found in _ways(shown, role):
                yield found
        return
    for pinning in await roles.pinning(ctx.storage, shown.leaf):
        role = await roles.load(ctx.storage, pinning)
        if role is not None:
            for found in _ways(shown, role, pinned_only=True):
                yield found
    for trusting in await _trusting(ctx, shown):
        role = await roles.load(ctx.storage, trusting)
        if role is not None:
            for found in _ways(shown, role):
                yield found


async def _trusting(ctx: Context, shown: Presented) -> list[str]:
    """Return the roles whose authorities the certificate leads to. Nothing is read for one that does not lead there."""
    names: set[str] = set()
    subjects = {certificate.issuer for certificate in (shown.leaf, *shown.offered)}
    for subject in subjects:
        for print_ in await roles.authorities(ctx.storage, subject):
            trusting = await roles.trusting(ctx.storage, subject, print_)
            anchor = await _anchor(ctx, trusting, print_)
            if anchor is not None and any(True for _ in shown.walk.to(anchor)):
                names.update(trusting)
    return sorted(names)


async def _anchor(ctx: Context, trusting: list[str], print_: str) -> x509.Certificate | None:
    for name in trusting:
        role = await roles.load(ctx.storage, name)
        if role is not None:
            for certificate in read_bundle(role.certificate).authorities:
                if fingerprint(certificate) == print_:
                    return certificate
    return None


def _ways(shown: Presented, role: Role, *, pinned_only: bool = False) -> list[tuple[Role, Chain, Bundle]]:
    bundle = read_bundle(role.certificate)
    # The whole certificate is compared: its key, its serial or its name alone prove nothing.
    ways: list[Chain] = [(shown.leaf,)] if shown.leaf in bundle.pinned else []
    if not pinned_only:
        for anchor in bundle.authorities:
            ways.extend(shown.walk.to(anchor))
    return [(role, chain, bundle) for chain in ways]


__all__ = ["NO_CERTIFICATE", "Presented", "judge"]
