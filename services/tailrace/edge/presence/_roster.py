"""The roster: an edge's part of the registry, and what of it Redis hasn't been told yet."""

import heapq
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple, cast

from tailrace.wire import ALL, ClientEntry, client_channel, registered_name

MOST_LEFT = 10_000
"""Clients that left while Redis couldn't be told, and that are remembered; the first of more are forgotten."""
FIRST_BYTES = 4 << 20
"""What names may take before the registry has said how much they may."""
_CLIENT_BYTES, _NAME_BYTES, _COUNT_BYTES = 250, 3, 45
"""What Redis keeps, about, beside the names: for a client, for each of its channels, and for each channel's count."""
_AT_ONCE = 2000
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
        for client, here in heapq.nlargest(_AT_ONCE, listed, key=lambda item: len(item[1].names)):
            if self.bytes <= self._most:
                return
            if here.connections == 1:
                self._unlisted[client] = tuple(here.names)
            self._shorten(client, here)

    def _relist(self) -> None:
        for client, names in list(islice(self._unlisted.items(), _AT_ONCE)):
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
