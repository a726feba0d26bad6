"""The registrar: tells Redis who is connected here, one command for all that came together, and renews the lease."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

from redis import RedisError

from tailrace.edge.presence._roster import Changes, Roster
from tailrace.events import Registry
from tailrace.wire import ClientEntry

logger = logging.getLogger(__name__)
PATIENCE_S = 0.25
"""How long a client waits for its registration before its stream begins all the same."""
_AT_ONCE = 500
_NAMES_AT_ONCE = 1000
"""The most channels of clients in a command: where other edges have a client, too, Redis looks at each of its channels."""
_LOOK_BYTES = 256 << 10
"""After growing by so much, an edge looks how much room the registry has."""
_PAUSE_S = 0.5
_GATHER_S = 0.005
"""The least time from one round to the next: where many come, more of them share a command; one that comes alone never waits."""
_LEAVE_S = 2
"""How long an edge that ends tries; its lease ends all the same."""


class _Round:
    """Those who wait for the same registration."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], object]] = []
        self._over = False

    def add(self, then: Callable[[], object]) -> None:
        """Call `then` at the round's end, or when it has waited long enough."""
        loop = asyncio.get_running_loop()
        if self._over:
            loop.call_soon(then)
            return
        if not self._waiting:  # one timer for all
            loop.call_later(PATIENCE_S, self.end)
        self._waiting.append(then)

    def end(self) -> None:
        self._over = True
        for then in self._waiting:
            asyncio.get_running_loop().call_soon(then)
        self._waiting.clear()


class Registrar:
    """Writes an edge's part of the registry."""

    def __init__(self, registry: Registry, edge: str, roster: Roster, renew_s: float) -> None:
        self._registry, self._edge, self._roster, self._renew_s = registry, edge, roster, renew_s
        self._wake = asyncio.Event()
        self._round = _Round()
        self._away = False
        self._tidied = float("-inf")
        self._look, self._looked_bytes = True, 0

    def changed(self) -> None:
        """Have changes told soon."""
        self._wake.set()

    def when_told(self, then: Callable[[], object]) -> None:
        """Call `then` once what the roster has now is registered; it doesn't wait for long."""
        if self._away:
            asyncio.get_running_loop().call_soon(then)
        else:
            self._round.add(then)
            self._wake.set()

    async def told(self) -> None:
        """Wait until what the roster has now is registered, but not for long."""
        told = asyncio.Event()
        self.when_told(told.set)
        await told.wait()

    async def run(self) -> None:
        """Tell changes as they come, and renew the lease for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._renew_s):
                    await self._wake.wait()
            self._wake.clear()
            this, self._round = self._round, _Round()
            self._tidy()
            try:
                if self._away:  # all has to be said anew: first see whether anybody listens
                    await self._registry.register(self._edge, {}, {})
                await self.tell()
                self._away = False
            except (RedisError, OSError) as error:
                if not self._away:
                    logger.warning("can't write the registry now: %s", error)
                self._away = True
            finally:
                this.end()
            await asyncio.sleep(_PAUSE_S if self._away else _GATHER_S)
            if self._away:
                self._wake.set()

    def _tidy(self) -> None:
        """Fit what is registered to the room that there is, as often as the lease is renewed: that looks at many clients."""
        now = asyncio.get_running_loop().time()
        if now - self._tidied >= self._renew_s:
            self._tidied, self._look = now, True
            self._roster.tidy()

    async def tell(self) -> None:
        """Write what changed; all of it where the edge's part is gone. Raises redis.RedisError."""
        for _ in range(2):
            if await self._write(self._roster.changes()):
                return

    async def leave(self) -> None:
        """Note the last changes, and take this edge out."""
        with suppress(RedisError, OSError):  # a timeout, too
            async with asyncio.timeout(_LEAVE_S):
                await self.tell()
                await self._registry.leave(self._edge)

    async def _write(self, changes: Changes) -> bool:
        told = False
        try:
            told = await self._registered(changes)
        finally:
            if not told:
                self._roster.again(changes)
        return told

    async def _registered(self, changes: Changes) -> bool:
        whole = changes.whole
        for clients, counts in _parts(changes):
            look = self._look or self._roster.bytes - self._looked_bytes > _LOOK_BYTES
            sent_bytes = self._roster.bytes
            standing = await self._registry.register(self._edge, clients, counts, whole=whole, look=look)
            if not standing:
                return False
            whole = False
            if look:
                self._look, self._looked_bytes = False, sent_bytes
                self._roster.allow(sent_bytes, standing.share, standing.room)
            if standing.recheck:
                self._roster.recheck(standing.recheck)
                self._wake.set()
        return True


def _parts(changes: Changes) -> Iterator[tuple[dict[str, ClientEntry | None], dict[str, int]]]:
    """Split changes into commands that don't keep Redis busy for long; there is one at least."""
    counts = list(changes.counts.items())
    clients: dict[str, ClientEntry | None] = {}
    names = start = 0
    for client, entry in changes.clients.items():
        size = len(entry.channels) if entry else 1
        if clients and (len(clients) == _AT_ONCE or names + size > _NAMES_AT_ONCE):
            yield clients, dict(counts[start : start + _AT_ONCE])
            clients, names, start = {}, 0, start + _AT_ONCE
        clients[client] = entry
        names += size
    yield clients, dict(counts[start : start + _AT_ONCE])
    for rest in range(start + _AT_ONCE, len(counts), _AT_ONCE):
        yield {}, dict(counts[rest : rest + _AT_ONCE])
