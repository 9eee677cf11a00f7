"""Whether the token of a request stands for anybody: asked before a body is read that is longer than a stranger's may be.

The answer costs what the token costs any request: what is known is taken as known, else one look-up. It takes no use off
a limited token. Who shows a token that stands for nobody is refused, counted and audited like any other such request, so
nothing is learned here more quietly than elsewhere.
"""

from broker.audit.entry import AuditEntry, ResponseFacts
from broker.barrier.envelope import UnknownTerm
from broker.core.admission import Admission
from broker.core.auditing import entry_of
from broker.core.quotas.quotas import RateLimited
from broker.core.requests import Request
from broker.core.runtime import Runtime
from broker.core.sealing import SealState
from broker.plugin.context import NamespaceInfo
from broker.plugin.errors import BrokerError, NotInitialized, PermissionDenied, Sealed, Unavailable
from broker.storage.errors import TransactionConflict

MAX_ATTEMPTS = 10
_NOWHERE = NamespaceInfo("root", "root", "")


async def check_live(seal: SealState, admission: Admission, request: Request) -> None:
    """Return if the request's token is live in its namespace or one above, and usable from where it comes.

    ``request`` is the head of one: its data is not read yet.
    Raises: PermissionDenied; Sealed, NotInitialized: then nobody's is; NotFound for an unknown namespace; RateLimited.
    """
    runtime = await seal.runtime()
    if runtime is None:
        raise Sealed if await seal.initialized() else NotInitialized
    for _ in range(MAX_ATTEMPTS):
        entry: list[AuditEntry] = []
        try:
            await _look(runtime, admission, request, entry)
        except TransactionConflict:
            continue
        except UnknownTerm:
            await seal.reload_keyring()
            continue
        except BrokerError as error:
            if not isinstance(error, RateLimited) or runtime.quotas.config.audit:
                await _audit(runtime, entry[0] if entry else entry_of(request, _NOWHERE), error)
            raise
        return
    raise Unavailable("the entry is being changed by too many requests at once; try again")


async def _look(runtime: Runtime, admission: Admission, request: Request, entry: list[AuditEntry]) -> None:
    way, tx = admission.known_way(runtime, request) or await admission.way(runtime, request)
    entry.append(entry_of(request, way.tenant.info, way.path, way.route))
    if admission.known_session(request, way, tx, admission.now()) is not None:
        return
    try:
        await admission.session(request, way, tx, spend=False)
    except PermissionDenied:
        if way.limit is not None:
            runtime.quotas.admit(request, way.limit)
        raise


async def _audit(runtime: Runtime, entry: AuditEntry, error: BrokerError) -> None:
    entry.error = str(error) or type(error).__name__
    if (pending := runtime.auditor.request(entry)) is not None:
        await pending
    if (pending := runtime.auditor.response(entry, ResponseFacts())) is not None:
        await pending
