"""The roster: an edge's part of the registry, and what of it Redis hasn't been told yet."""

from collections.abc import Iterable
from typing import NamedTuple

from tailrace.wire import ClientEntry

MOST_LEFT = 10_000
"""Clients that left while Redis couldn't be told, and that are remembered; more are let go, the first ones first."""


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
        self._clients: dict[str, None] = {}
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
        self._clients[client] = None
        self._counts.update(new)

    def again(self, untold: Changes) -> None:
        """Have everything told anew, and of what couldn't be told who has left: nothing else says so of them any more."""
        self._whole = True
        left = [client for client, entry in untold.clients.items() if not entry][-MOST_LEFT:]
        self._clients = dict.fromkeys([*left, *self._clients])

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
        if not here:
            return None
        channels = dict.fromkeys(channel for presence in here for channel in presence.channels)
        return ClientEntry(min([presence.since for presence in here]), list(channels), len(here))
