"""Name constraints: an authority that may speak for some names only.

Source: RFC 5280, section 4.2.1.10. A kind of name that is constrained and not known here is refused.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from cryptography import x509

from .profile import Refused, alternative_names, extension


def check_names(chain: Sequence[x509.Certificate]) -> None:
    """Check every certificate (leaf first) against the constraints of all authorities above it. Raises: Refused."""
    for height, authority in enumerate(chain):
        limits = extension(authority, x509.NameConstraints)
        if limits is None:
            continue
        for below in chain[:height]:
            for name in _names(below):
                _check(name, limits)


def _names(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    if len(certificate.subject.rdns):
        yield x509.DirectoryName(certificate.subject)
    yield from alternative_names(certificate)


def _check(name: x509.GeneralName, limits: x509.NameConstraints) -> None:
    excluded = [tree for tree in limits.excluded_subtrees or () if type(tree) is type(name)]
    permitted = [tree for tree in limits.permitted_subtrees or () if type(tree) is type(name)]
    if any(_within(name, tree) for tree in excluded):
        raise Refused("a name that its authority may not speak for")
    if permitted and not any(_within(name, tree) for tree in permitted):
        raise Refused("a name that its authority may not speak for")


def _within(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName):
        return _host_within(name.value, tree.value, whole=True)
    if isinstance(name, x509.RFC822Name):
        return _mail_within(name.value, tree.value)
    if isinstance(name, x509.UniformResourceIdentifier):
        return _host_within(_host(name.value), tree.value, whole=False)
    if isinstance(name, x509.IPAddress):
        return name.value in tree.value
    if isinstance(name, x509.DirectoryName):
        mine, theirs = list(name.value.rdns), list(tree.value.rdns)
        return mine[: len(theirs)] == theirs
    raise Refused("a constraint on names of a kind that is not known")


def _host(uri: str) -> str:
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        host = None
    if not host:
        raise Refused("a constrained URI without a host")
    return host


def _host_within(host: str, tree: str, *, whole: bool) -> bool:
    """Tell whether a host lies below a name. ``whole``: a name without a dot in front covers itself and all below it."""
    name, limit = host.lower(), tree.lower()
    if limit == "":
        return True
    if limit.startswith("."):
        return name.endswith(limit)
    return name == limit or (whole and name.endswith("." + limit))


def _mail_within(mail: str, tree: str) -> bool:
    local, _, host = mail.rpartition("@")
    if "@" in tree:
        limit_local, _, limit_host = tree.rpartition("@")
        return local == limit_local and host.lower() == limit_host.lower()
    return _host_within(host, tree, whole=False)
