"""Bounds for a server's sockets: how many are open, how many of them one address has, and how much their unfinished requests hold."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from tailrace.service._file_limit import most_sockets
from tailrace.service._rate_limited_log import Seldom

_UNFINISHED_BYTES = 16 << 20
"""Memory that the unfinished heads of all connections may take together."""
_logger = logging.getLogger(__name__)


class Sockets:
    """Counts a server's sockets from the moment they are accepted until they close or become a stream.

    A socket *waits* while its client owes the next step: a request, or the rest of a request's head. Where a bound is reached, the
    socket that has waited longest is closed. A client that sends its head in one piece never waits long, so a flood of idle sockets
    or unfinished heads displaces itself and nobody else.
    """

    def __init__(
        self, streams: Callable[[], int] = lambda: 0, address_of: Callable[[Any], str] = lambda _: "", most_per_address: int = 0
    ) -> None:
        """`streams` returns the number of sockets that have become streams; `address_of` what a peer counts under, empty if it doesn't.

        Without a limit per address, which is 0, no address is looked up.
        """
        self._streams, self._address_of, self._most_per_address = streams, address_of, most_per_address
        self._most = most_sockets()
        self._addresses: dict[asyncio.Transport, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[asyncio.Transport, int] = {}
        """Bytes that each waiting socket holds; the one that has waited longest comes first."""
        self._held = 0
        self._seldom = Seldom(_logger)

    def enter(self, transport: asyncio.Transport) -> bool:
        """Count a socket that was accepted; False if there is no room for it, and it has been closed. One that is counted stays so."""
        if transport in self._addresses:
            return True
        address = self._address_of(transport.get_extra_info("peername")) if self._most_per_address else ""
        if address and self._counts[address] >= self._most_per_address:
            return self._refuse(transport, f"connections are refused: {self._most_per_address} of {address} are idle or unanswered")
        if len(self._addresses) + self._streams() >= self._most and not self._displace():
            return self._refuse(transport, "connections are refused: the limit of open files (ulimit -n) leaves room for no more")
        self._addresses[transport] = address
        self._waiting[transport] = 0
        if address:
            self._counts[address] += 1
        return True

    def leave(self, transport: asyncio.Transport) -> None:
        """Forget a socket that has closed or become a stream."""
        self._held -= self._waiting.pop(transport, 0)
        if address := self._addresses.pop(transport, ""):
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def wait(self, transport: asyncio.Transport) -> None:
        """Note that a client owes the next step from now on."""
        self.serve(transport)
        if transport in self._addresses:
            self._waiting[transport] = 0

    def serve(self, transport: asyncio.Transport) -> None:
        """Note that a client owes nothing: its request is being answered."""
        self._held -= self._waiting.pop(transport, 0)

    def hold(self, transport: asyncio.Transport, size: int) -> None:
        """Note how many bytes the unfinished head of a waiting socket takes by now."""
        if transport in self._waiting:
            self._held += size - self._waiting[transport]
            self._waiting[transport] = size
        while self._held > _UNFINISHED_BYTES and self._displace():
            pass

    def _displace(self) -> bool:
        """Close the socket that has waited longest; False if none waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._seldom.warn("idle connections are closed to make room for others")
        self.leave(oldest)
        oldest.abort()
        return True

    def _refuse(self, transport: asyncio.Transport, why: str) -> bool:
        self._seldom.warn(why)
        transport.abort()
        return False
