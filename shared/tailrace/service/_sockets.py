"""Bounds on a server's sockets: how many are open, how many one address has, and how much memory unfinished requests hold."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from tailrace.service._file_limit import most_sockets
from tailrace.service._rate_limited_log import Seldom

_UNFINISHED_BYTES = 16 << 20
"""Most memory that the unfinished heads of all connections take together."""
_logger = logging.getLogger(__name__)


class Sockets:
    """Counts a server's sockets from the moment they are accepted until they close or become a stream.

    A socket *waits* while its client owes the next step: a request, or the rest of a request's head. When a bound is reached, the
    socket that has waited longest is closed. A client that sends its head in one piece never waits long, so a flood of idle sockets
    or unfinished heads displaces only itself.
    """

    def __init__(
        self, streams: Callable[[], int] = lambda: 0, address_of: Callable[[Any], str] = lambda _: "", most_per_address: int = 0
    ) -> None:
        """`streams` returns how many sockets have become streams; `address_of` the address that a peer counts towards, "" for none.

        Without a limit per address, which is 0, no address is looked up.
        """
        self._streams, self._address_of, self._most_per_address = streams, address_of, most_per_address
        self._most = most_sockets()
        self._addresses: dict[asyncio.Transport, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[asyncio.Transport, int] = {}
        """Bytes that each waiting socket holds, the longest wait first."""
        self._held = 0
        self._seldom = Seldom(_logger)

    def enter(self, transport: asyncio.Transport) -> bool:
        """Count an accepted socket. Returns False if there was no room and the socket has been closed; a second call changes nothing."""
        if transport in self._addresses:
            return True
        address = self._address_of(transport.get_extra_info("peername")) if self._most_per_address else ""
        if address and self._counts[address] >= self._most_per_address:
            return self._refuse(
                transport, f"connection refused: {address} already has {self._most_per_address} idle or unanswered ones", address=address
            )
        if len(self._addresses) + self._streams() >= self._most and not self._displace():
            return self._refuse(transport, "connection refused: the limit of open files (ulimit -n) is reached")
        self._addresses[transport] = address
        self._waiting[transport] = 0
        if address:
            self._counts[address] += 1
        return True

    def leave(self, transport: asyncio.Transport) -> None:
        """Stop counting a socket that has closed or become a stream."""
        self._held -= self._waiting.pop(transport, 0)
        if address := self._addresses.pop(transport, ""):
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def wait(self, transport: asyncio.Transport) -> None:
        """Record that the client owes the next step from now on."""
        self.serve(transport)
        if transport in self._addresses:
            self._waiting[transport] = 0

    def serve(self, transport: asyncio.Transport) -> None:
        """Record that the client owes nothing, since its request is being answered."""
        self._held -= self._waiting.pop(transport, 0)

    def hold(self, transport: asyncio.Transport, size: int) -> None:
        """Record how many bytes the unfinished head of a waiting socket takes now."""
        if transport in self._waiting:
            self._held += size - self._waiting[transport]
            self._waiting[transport] = size
        while self._held > _UNFINISHED_BYTES and self._displace():
            pass

    def _displace(self) -> bool:
        """Close the socket that has waited longest. Returns False if none waits."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self._seldom.warn("idle connection closed to make room for a new one")
        self.leave(oldest)
        oldest.abort()
        return True

    def _refuse(self, transport: asyncio.Transport, why: str, **fields: object) -> bool:
        self._seldom.warn(why, **fields)
        transport.abort()
        return False
