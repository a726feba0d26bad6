"""Fan-out: a batch of events to every live subscriber that it touches, in one write each."""

import asyncio
from collections.abc import Iterable, Sequence

from tailrace.edge._core import Core
from tailrace.edge._frames import Frame, FrameMaker, Piece, Positions, chunked, pieces
from tailrace.edge._subscriber import Behind, Subscriber
from tailrace.wire import Entry

SLICE = 500
"""Writes between two turns of the loop, so that a large fan-out stops neither accepts nor heartbeats."""

Batch = Sequence[tuple[int, Sequence[Entry]]]
"""Entries by shard, in log order each."""


class Hub:
    """Knows the live subscribers; all of them share one position, but for those that a running batch still has to reach."""

    def __init__(self, core: Core) -> None:
        self._tails, self._meter = core.tails, core.meter
        self._channels: dict[str, set[Subscriber]] = {}
        self._pending: dict[Subscriber, list[Piece]] = {}
        self._before: Positions = ()
        self.behind: set[Subscriber] = set()
        """The others, which the hub leaves alone."""

    @property
    def position(self) -> Positions:
        """Where the readers are, and so every live subscriber that nothing is pending for."""
        return tuple([tail.position for tail in self._tails])

    def position_of(self, subscriber: Subscriber) -> Positions:
        """Return what was last handled for a subscriber."""
        if subscriber.behind:
            return tuple(subscriber.behind.positions)
        return self._before if subscriber in self._pending else self.position

    def has_pending(self, subscriber: Subscriber) -> bool:
        return subscriber in self._pending

    def join(self, subscriber: Subscriber) -> None:
        """Make a subscriber live; it has everything up to `position`."""
        subscriber.behind = None
        self.behind.discard(subscriber)
        for channel in subscriber.channels:
            self._channels.setdefault(channel, set()).add(subscriber)

    def put_behind(self, subscriber: Subscriber, positions: Positions, *, slow: bool = False) -> Behind:
        """Take a live subscriber out of fan-out, with a position to catch up from."""
        self.remove(subscriber)
        subscriber.behind = behind = Behind(positions, slow=slow)
        self.behind.add(subscriber)
        return behind

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self.behind.discard(subscriber)
        self._pending.pop(subscriber, None)
        if subscriber.behind:
            return
        for channel in subscriber.channels:
            there = self._channels.get(channel)
            if there is not None:
                there.discard(subscriber)
                if not there:
                    del self._channels[channel]

    def live(self) -> set[Subscriber]:
        return {subscriber for there in self._channels.values() for subscriber in there}

    async def deliver(self, batch: Batch, before: Positions) -> None:
        """Write a batch, which the tails have taken already, to whom it touches; `before` is where they were."""
        frames = self._frames(batch, before)
        if frames:
            self._before = before
            self._pending = self._addressed(frames)
            while self._pending:
                self._deliver_slice()
                if self._pending:
                    await asyncio.sleep(0)

    def _frames(self, batch: Batch, before: Positions) -> dict[str, list[tuple[int, Frame]]]:
        maker, channels = FrameMaker(self._tails, before), self._channels
        frames: dict[str, list[tuple[int, Frame]]] = {}
        count = 0
        for shard, entries in batch:
            for entry in entries:
                if entry.channel in channels:
                    count += 1
                    frames.setdefault(entry.channel, []).append((count, maker.frame(shard, entry)))
                else:
                    maker.positions[shard] = entry.id
        return frames

    def _addressed(self, frames: dict[str, list[tuple[int, Frame]]]) -> dict[Subscriber, list[Piece]]:
        """Choose what each subscriber gets; those touched through the same channels share the same bytes."""
        touched: dict[Subscriber, tuple[str, ...]] = {}
        for channel in frames:
            only = (channel,)
            for subscriber in self._channels[channel]:
                so_far = touched.get(subscriber)
                touched[subscriber] = only if so_far is None else so_far + only
        made: dict[tuple[tuple[str, ...], bool], list[Piece]] = {}
        addressed = {}
        for subscriber, names in touched.items():
            key = names, subscriber.connection is not None and subscriber.connection.framed
            if key not in made:
                made[key] = _joined([frames[name] for name in names], framed=key[1])
            addressed[subscriber] = made[key]
        return addressed

    def _deliver_slice(self) -> None:
        pending = self._pending
        count = min(SLICE, len(pending))
        self._meter.deliveries += count
        for _ in range(count):
            subscriber, parts = pending.popitem()
            connection = subscriber.connection
            if connection is None:
                continue
            at = self._before
            for data, after in parts:
                if connection.paused:
                    self._meter.fell_behind += 1
                    self.put_behind(subscriber, at, slow=True)
                    break
                connection.write(data)
                at = after


def _joined(frames: Iterable[list[tuple[int, Frame]]], *, framed: bool) -> list[Piece]:
    ordered = sorted([numbered for channel in frames for numbered in channel])
    parts = pieces([frame for _, frame in ordered])
    return [Piece(chunked(data) if framed else data, position) for data, position in parts]
