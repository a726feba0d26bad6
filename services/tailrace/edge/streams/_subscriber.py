"""A subscriber: one connection, *live* when the hub writes to it, *behind* when it has a position to catch up from."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tailrace.edge.registry._registrar import Presence
from tailrace.edge.streams._frames import Rewind, chunked
from tailrace.edge.streams._resume import Move, next_move
from tailrace.edge.window._tail import Tail
from tailrace.wire import bucket


class Connection(Protocol):
    """Where a subscriber's bytes go: a socket of our own, or a server's `send`."""

    fd: int
    """Where bytes can be sent past `write` while it isn't paused, or -1: a socket that takes them without waiting."""
    framed: bool
    """Whether what is written has to be framed as chunks of HTTP/1.1."""
    paused: bool
    """Whether the client takes less than it is sent."""

    @property
    def write(self) -> Callable[[bytes | memoryview], None]:
        """Send, or keep until it can be sent."""

    def backlog(self) -> int:
        """Return the bytes that wait to be sent."""

    def end(self) -> None:
        """End the stream the ordinary way, after what was written."""

    def cut(self) -> None:
        """End it at once, where it stands."""


class Behind:
    """What is known of a subscriber that has to catch up: where it stands, and no buffer."""

    __slots__ = ("excused", "ignored", "positions", "reading", "reset", "rewind", "said", "since", "slow", "stall", "starts")

    def __init__(self, positions: Sequence[int], *, slow: bool = False) -> None:
        self.positions = list(positions)
        self.slow = slow
        """It was live and its socket was full; out of the ring it is cut."""
        self.reset = ""
        """Why the stream begins anew; to be said first."""
        self.ignored: Sequence[str] = ()
        """Parameters of the request that were ignored; `connect` names them."""
        self.reading = False
        """Whether histories are being asked for it."""
        self.said: dict[str, int] = {}
        """Gaps that were said, per channel, by the last event that is missing."""
        self.rewind: Rewind | None = None
        self.starts: dict[str, int] = {}
        """In a rewind: the first event of each channel that is wanted."""
        self.excused: dict[str, int] = {}
        """In a rewind: up to where nothing of a channel was asked for."""
        self.since = 0.0
        """When it began to wait for a reader that its cursor is ahead of; 0 while it doesn't."""
        self.stall = (0.0, 0)
        """Since when there was no progress, and the backlog then."""

    def end_rewind(self, shard: int, shards: int) -> None:
        """Serve all that comes after a shard's position: another generation may number other events like those that were asked for."""
        if self.rewind:
            self.rewind.end(shard)
            for asked in (self.starts, self.excused):
                for channel in [name for name in asked if bucket(name, shards) == shard]:
                    del asked[channel]


class Subscriber:
    __slots__ = ("address", "began", "behind", "channels", "client", "connection", "since")

    def __init__(self, client: str, channels: tuple[str, ...], since: int, behind: Behind, address: str = "") -> None:
        self.client = client
        self.channels = channels
        self.since = since
        """In Unix milliseconds."""
        self.began = time.monotonic()
        """Its age counts from here: the wall clock may be set meanwhile."""
        self.connection: Connection | None = None
        """None until the response has begun."""
        self.behind: Behind | None = behind
        self.address = address
        """What it counts under, if streams are counted by address."""

    @property
    def presence(self) -> Presence:
        return Presence(self.since, self.channels)

    def here(self, shard: int, shards: int) -> Sequence[str]:
        """Return its channels of one shard."""
        if shards == 1:
            return self.channels
        return [channel for channel in self.channels if bucket(channel, shards) == shard]

    def next_move(self, behind: Behind, tails: Sequence[Tail]) -> tuple[Move, int]:
        """Choose how it catches up, and in which shard."""
        ends = behind.rewind.ends if behind.rewind else ()
        return next_move(behind.positions, tails, lambda shard: bool(self.here(shard, len(tails))), ends)

    def write(self, data: bytes) -> None:
        """Write bytes that only this subscriber gets."""
        connection = self.connection
        if connection is not None:
            connection.write(chunked(data) if connection.framed else data)
