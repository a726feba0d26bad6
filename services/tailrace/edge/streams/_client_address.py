"""Whose a connection is: the peer's address, or what proxies that are trusted say of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tailrace.edge._config import EdgeConfig
from tailrace.edge._errors import BusyError
from tailrace.wire import SetupError

_IPV6_PREFIX = 64
"""A household or host has at least so much of IPv6 to itself."""
_MOST_HOSTS = 4096
"""How many peers' addresses are kept as they were parsed, which takes a tenth of an accept."""
Peer = tuple[str, int] | None


class Addresses:
    """Counts streams by address, if there is a limit to them; sockets that have no stream are counted by `Sockets`."""

    def __init__(self, config: EdgeConfig) -> None:
        """Raise SetupError: a trusted proxy is neither an address nor a network."""
        self._most = config.max_connections_per_address
        self._counts: Counter[str] = Counter()
        self._of_host = lru_cache(_MOST_HOSTS)(self._look_up)
        try:
            self._trusted = [ip_network(each, strict=False) for each in config.trusted_proxies]
        except ValueError as error:
            raise SetupError(f"--trusted-proxies: {error}") from error

    def of(self, peer: Peer, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return what a request counts under; empty if nothing is counted, or nothing is known."""
        if not self._most:
            return ""
        address = ""
        for hop in _hops(peer, headers):
            try:
                found = _parsed(hop)
            except ValueError:
                break
            address = str(ip_network((found, _IPV6_PREFIX), strict=False) if isinstance(found, IPv6Address) else found)
            if not any(found in network for network in self._trusted):
                break
        return address

    def of_peer(self, peer: Peer) -> str:
        """Return what a socket counts under before its head is read; empty for a trusted proxy, which many clients share."""
        return self._of_host(peer[0]) if self._most and peer else ""

    def _look_up(self, host: str) -> str:
        try:
            trusted = any(_parsed(host) in network for network in self._trusted)
        except ValueError:
            return ""
        return "" if trusted else self.of((host, 0), ())

    def check(self, address: str) -> None:
        """Raise BusyError: there are as many streams from an address as there may be."""
        if address and self._counts[address] >= self._most:
            raise BusyError(f"{self._most} streams are open from {address}", "address")

    def enter(self, address: str) -> None:
        if address:
            self._counts[address] += 1

    def leave(self, address: str) -> None:
        if address:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


def _hops(peer: Peer, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Yield addresses from the nearest on; each is the word of the one before."""
    if not peer:
        return
    yield peer[0]
    forwarded = b",".join([value for name, value in headers if name == b"x-forwarded-for"]).decode("latin-1")
    yield from [hop.strip() for hop in reversed(forwarded.split(","))]


def _parsed(hop: str) -> IPv4Address | IPv6Address:
    text = hop.removeprefix("[").partition("]")[0] if hop.startswith("[") else hop
    if text.count(":") == 1:
        text = text.partition(":")[0]  # IPv4 with a port
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
