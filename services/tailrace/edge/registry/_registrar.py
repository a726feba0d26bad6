"""The clients of this edge and their registration in Redis.

`Roster` counts clients and channels and remembers what Redis hasn't been told; `Registrar` writes those changes, one command for all
connections that arrive together, and renews the lease.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, cast

from redis import RedisError

from tailrace.events import Registry
from tailrace.wire import ALL, ClientEntry, client_channel, registered_name

logger = logging.getLogger(__name__)
MOST_LEFT = 10_000
"""Clients that left while Redis couldn't be told, and that are remembered; the first of more are forgotten."""
FIRST_BYTES = 4 << 20
"""What names may take before the registry has said how much they may."""
_CLIENT_BYTES, _NAME_BYTES, _COUNT_BYTES = 250, 3, 45
"""What Redis keeps, about, beside the names: for a client, for each of its channels, and for each channel's count."""
_TIDY_AT_ONCE = 2000
_RELIST_BELOW = 0.9


class Changes(NamedTuple):
    """What the registry is to be told; a client that is None has left."""

    clients: dict[str, ClientEntry | None]
    counts: dict[str, int]
    whole: bool


class Presence(NamedTuple):
    """One connection of a client."""

    since: int
    channels: tuple[str, ...]


class _Client:
    """A client that is connected here, by one or more connections."""

    __slots__ = ("connections", "listed", "names", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.connections = 0
        self.listed = True
        """Whether its channels count; if not, only `all` and its own do."""
        self.names: tuple[str, ...] | dict[str, int] = ()
        """Registered names that count; by connections, once there is more than one."""


class Roster:
    """Counts clients, and clients per channel; connections with one id are one client.

    A client whose channels don't fit into the registry is registered all the same, with its own channel and `all`.
    """

    def __init__(self, most_bytes: int = 64 << 20, most_names: int = 400) -> None:
        self.counts: dict[str, int] = {}
        """Clients per channel, by registered name."""
        self.clients: dict[str, _Client] = {}
        self.bytes = 0
        """What this takes in Redis, about."""
        self._setting = self._most = most_bytes
        self._room = min(most_bytes, FIRST_BYTES)
        self._most_names = most_names
        self._unlisted: dict[str, tuple[str, ...]] = {}
        """Clients that may be listed once there is room, and their names."""
        self._clients: dict[str, None] = {}
        self._counts: set[str] = set()
        self._whole = True

    def connections(self, client: str) -> int:
        """Return how many connections a client has here."""
        here = self.clients.get(client)
        return here.connections if here else 0

    @property
    def shared(self) -> int:
        """Count clients with more than one connection."""
        return sum([here.connections > 1 for here in self.clients.values()])

    @property
    def unlisted(self) -> int:
        """Count clients whose channels wait for room."""
        return len(self._unlisted)

    def join(self, client: str, presence: Presence) -> None:
        here = self.clients.get(client)
        if not here:
            here = self.clients[client] = _Client(presence.since)
            self.bytes += _CLIENT_BYTES + len(client)
        here.connections += 1
        here.since = min(here.since, presence.since)
        names = tuple([registered_name(channel) for channel in presence.channels])
        if here.connections == 1:
            self._enter(client, here, names)
        elif here.listed:
            self._add(client, here, names)
        else:
            self._unlisted.pop(client, None)  # what it is in altogether isn't known any more
        self._clients[client] = None

    def leave(self, client: str, presence: Presence) -> None:
        here = self.clients[client]
        here.connections -= 1
        if not here.connections:
            self._count(here.names, -1)
            del self.clients[client]
            self.bytes -= _CLIENT_BYTES + len(client)
            self._unlisted.pop(client, None)
        elif here.listed:
            self._remove(here, [registered_name(channel) for channel in presence.channels])
        self._clients[client] = None

    def _enter(self, client: str, here: _Client, names: tuple[str, ...]) -> None:
        """Count the first connection of a client."""
        here.listed = self._fits(names, len(names), self._room)
        if not here.listed:
            self._unlisted[client] = names
        here.names = names if here.listed else _own(client)
        self._count(here.names, 1)

    def _add(self, client: str, here: _Client, names: Iterable[str]) -> None:
        """Count another connection of a client."""
        if isinstance(here.names, tuple):
            here.names = dict.fromkeys(here.names, 1)
        uses = here.names
        new = [name for name in names if name not in uses]
        if not self._fits(new, len(uses) + len(new), self._room):
            self._shorten(client, here)
            return
        for name in names:
            uses[name] = uses.get(name, 0) + 1
        self._count(new, 1)

    def _remove(self, here: _Client, names: Collection[str]) -> None:
        """Uncount one of several connections of a client."""
        uses = cast("dict[str, int]", here.names)
        for name in names:
            uses[name] -= 1
        gone = [name for name in names if not uses[name]]
        for name in gone:
            del uses[name]
        self._count(gone, -1)

    def _fits(self, new: Iterable[str], names: int, room: float) -> bool:
        if names > self._most_names:
            return False
        return self.bytes + sum([2 * len(name) + _NAME_BYTES + _COUNT_BYTES for name in new]) <= room

    def _shorten(self, client: str, here: _Client) -> None:
        """Take a client's channels off the list, but for its own and `all`."""
        own = _own(client)
        self._count([name for name in here.names if name not in own], -1)
        here.listed, here.names = False, own
        self._clients[client] = None

    def _count(self, names: Iterable[str], step: int) -> None:
        for name in names:
            before = self.counts.get(name, 0)
            self.bytes += step * (len(name) + _NAME_BYTES)
            if count := before + step:
                self.counts[name] = count
            else:
                del self.counts[name]
            if not (count and before):
                self.bytes += step * (len(name) + _COUNT_BYTES)
            self._counts.add(name)

    def allow(self, sent_bytes: int, share: int | None, room: int | None) -> None:
        """Take note of what the registry allows: in all, and beyond what it had been sent. None is no limit but the setting's."""
        self._most = self._setting if share is None else min(self._setting, share)
        self._room = self._most if room is None else min(self._most, sent_bytes + room)

    def tidy(self) -> None:
        """Take clients off the list if there is too much on it, or put some on it that fit now."""
        if self.bytes > self._most:
            self._shed()
        elif self._unlisted:
            self._relist()

    def _shed(self) -> None:
        """Take those with the most channels off the list first."""
        listed = [(client, here) for client, here in self.clients.items() if here.listed]
        for client, here in heapq.nlargest(_TIDY_AT_ONCE, listed, key=lambda item: len(item[1].names)):
            if self.bytes <= self._most:
                return
            if here.connections == 1:
                self._unlisted[client] = tuple(here.names)
            self._shorten(client, here)

    def _relist(self) -> None:
        for client, names in list(islice(self._unlisted.items(), _TIDY_AT_ONCE)):
            del self._unlisted[client]
            if not self._fits(names, len(names), self._room * _RELIST_BELOW):
                self._unlisted[client] = names  # behind the others
                continue
            here, own = self.clients[client], _own(client)
            here.listed, here.names = True, names
            self._count([name for name in names if name not in own], 1)
            self._clients[client] = None

    def again(self, untold: Changes) -> None:
        """Have everything told again, and which clients have left of those that couldn't be told: nothing else says so any more."""
        self._whole = True
        left = [client for client, entry in untold.clients.items() if not entry][-MOST_LEFT:]
        self._clients = dict.fromkeys([*left, *self._clients])

    def recheck(self, clients: Iterable[str]) -> None:
        """Have some clients told again."""
        self._clients.update(dict.fromkeys(clients))

    def changes(self) -> Changes:
        """Return what was not told yet, and take it as told."""
        clients = dict.fromkeys([*self._clients, *self.clients]) if self._whole else self._clients
        counts = {*self.counts, *self._counts} if self._whole else self._counts
        changes = Changes(
            {client: self._entry(client) for client in clients},
            {channel: self.counts.get(channel, 0) for channel in counts},
            self._whole,
        )
        self._clients, self._counts, self._whole = {}, set(), False
        return changes

    def _entry(self, client: str) -> ClientEntry | None:
        here = self.clients.get(client)
        return ClientEntry(here.since, list(here.names), here.connections, here.listed) if here else None


def _own(client: str) -> tuple[str, ...]:
    return ALL, client_channel(client)


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
