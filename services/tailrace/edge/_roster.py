"""The roster: an edge's part of the registry, and what of it Redis hasn't been told yet."""

from collections.abc import Iterable
from typing import NamedTuple

from tailrace.wire import ClientEntry


class Changes(NamedTuple):
    """What the registry is to be told; a client that is None has left."""

    clients: dict[str, ClientEntry | None]
    counts: dict[str, int]
    whole: bool


class Presence(NamedTuple):
    """One connection of a client."""

    since: int
    channels: tuple[str, ...]


class Roster:
    """Counts clients, and clients per channel; two connections with one id are one client."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.clients: dict[str, tuple[Presence, ...]] = {}
        self._clients: set[str] = set()
        self._counts: set[str] = set()
        self._whole = True

    def join(self, client: str, presence: Presence) -> None:
        here = self.clients.get(client, ())
        self.clients[client] = (*here, presence)
        self._count(client, presence, here, 1)

    def leave(self, client: str, presence: Presence) -> None:
        here = list(self.clients[client])
        here.remove(presence)
        if here:
            self.clients[client] = tuple(here)
        else:
            del self.clients[client]
        self._count(client, presence, here, -1)

    def _count(self, client: str, presence: Presence, others: Iterable[Presence], step: int) -> None:
        elsewhere = {channel for other in others for channel in other.channels}
        new = [channel for channel in presence.channels if channel not in elsewhere] if elsewhere else presence.channels
        for channel in new:
            if count := self.counts.get(channel, 0) + step:
                self.counts[channel] = count
            else:
                del self.counts[channel]
        self._clients.add(client)
        self._counts.update(new)

    def again(self) -> None:
        """Have everything told anew."""
        self._whole = True

    def changes(self) -> Changes:
        """Return what was not told yet, and take it as told."""
        clients = {*self.clients, *self._clients} if self._whole else self._clients
        counts = {*self.counts, *self._counts} if self._whole else self._counts
        changes = Changes(
            {client: self._entry(client) for client in clients},
            {channel: self.counts.get(channel, 0) for channel in counts},
            self._whole,
        )
        self._clients, self._counts, self._whole = set(), set(), False
        return changes

    def _entry(self, client: str) -> ClientEntry | None:
        here = self.clients.get(client)
        if not here:
            return None
        channels = dict.fromkeys(channel for presence in here for channel in presence.channels)
        return ClientEntry(min([presence.since for presence in here]), list(channels), len(here))
