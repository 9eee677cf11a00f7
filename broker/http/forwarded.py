"""Who sent a request that came through a proxy: ``X-Forwarded-For``, believed only of proxies that are listed.

Whether to believe it is decided by the socket's peer alone. The chain is read from its rear, the end our own proxies wrote;
whatever stands before the address that counts is the client's own claim and is not looked at.
Source: the ``x_forwarded_for_*`` parameters of OpenBao's tcp listener.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from broker.plugin.errors import InvalidRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(
    r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,44})\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::\d{1,5})?", re.ASCII
)


def parse_network(text: str) -> Network:
    """Read an address or a CIDR block; an IPv4 network in IPv6 form means the IPv4 network. Raises: ValueError.

    >>> parse_network("10.1.2.3")
    IPv4Network('10.1.2.3/32')
    """
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((str(mapped), network.prefixlen - 96))
    return network


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """Read one hop: an address, with or without a port; IPv6 with a port in brackets. Raises: ValueError.

    An IPv4 address in IPv6 form is the IPv4 address: rules written for one must not miss the other.
    """
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        text = found[1] or found[2]
    if "%" in text:
        raise ValueError("a zone means nothing to anybody else")
    return unmap(ip_address(text))


def unmap(address: Address) -> Address:
    """Return the IPv4 address behind ``::ffff:a.b.c.d``, anything else as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class ForwardedFor:
    """A listener's rule for the header. ``networks`` are the proxies; ``hop_skips`` more of them stand behind these."""

    def __init__(
        self,
        networks: Sequence[str],
        *,
        hop_skips: int = 0,
        reject_not_authorized: bool = True,
        reject_not_present: bool = True,
    ) -> None:
        """Raises: ValueError if an entry of ``networks`` is neither an address nor a CIDR block."""
        self._networks = tuple(parse_network(text) for text in networks)
        self._hop_skips = hop_skips
        self._reject_not_authorized = reject_not_authorized
        self._reject_not_present = reject_not_present

    def trusts(self, peer: str) -> bool:
        """Tell whether the socket's peer is a listed proxy. The peer of a Unix socket has no address and never is."""
        try:
            address = unmap(ip_address(peer.partition("%")[0]))
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def client(self, peer: str, values: Sequence[str]) -> str | None:
        """Return the address a request counts as coming from, ``None`` for the peer's own.

        ``values`` are the header's lines in order. Raises: InvalidRequest where the listener is told to refuse, and
        for a chain of a listed proxy that is malformed or too short.
        """
        if not values:
            if self._reject_not_present:
                raise InvalidRequest(
                    "missing x-forwarded-for header and configured to reject when not present"
                )
            return None
        if not self.trusts(peer):
            if self._reject_not_authorized:
                raise InvalidRequest(
                    "client address not authorized for x-forwarded-for and configured to reject connection"
                )
            return None
        chain = [hop.strip(" \t") for value in values for hop in value.split(",")]
        if self._hop_skips >= len(chain):
            raise InvalidRequest(
                "malformed x-forwarded-for configuration or request, hops to skip "
                f"({self._hop_skips}) would skip before earliest chain link (chain length {len(chain)})"
            )
        try:
            ours = [parse_address(hop) for hop in chain[len(chain) - 1 - self._hop_skips :]]
        except ValueError:
            raise InvalidRequest("malformed x-forwarded-for header: expected IP addresses") from None
        return str(ours[0])
