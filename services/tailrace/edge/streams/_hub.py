"""Fan-out: a batch of events to every live subscriber that it touches, in one write each."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from os import write

from tailrace.edge._context import Core
from tailrace.edge.streams._frames import Frame, FrameMaker, Piece, Positions, chunked, cursor_at, pieces
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.edge.window._segment import Page

SLICE = 250
"""Writes between two turns of the loop, so that a large fan-out stops neither accepts nor heartbeats."""

Batch = Sequence[tuple[int, Page]]
"""Entries by shard, in log order each."""


class Hub:
    """Knows the live subscribers; all of them share one position, but for those that a running batch still has to reach."""

    def __init__(self, core: Core) -> None:
        self._tails, self._meter = core.tails, core.meter
        self._channels: dict[str, set[Subscriber]] = {}
        self._plain: set[Subscriber] = set()
        """Those whose streams aren't framed as chunks; few."""
        self._pending: set[Subscriber] = set()
        self._before: Positions = ()
        self.behind: set[Subscriber] = set()
        """The others, which the hub leaves alone; who comes begins here."""
        self.any_behind = asyncio.Event()
        """Set whenever there are some; who finds none clears it."""

    @property
    def position(self) -> Positions:
        """Where the readers are, and so every live subscriber that nothing is pending for."""
        return tuple([tail.position for tail in self._tails])

    def position_of(self, subscriber: Subscriber) -> Positions:
        """Return what was last handled for a subscriber."""
        if subscriber.behind:
            return tuple(subscriber.behind.positions)
        return self._before if subscriber in self._pending else self.position

    def cursor_of(self, subscriber: Subscriber) -> str:
        """Return the cursor from which a subscriber's stream could be resumed."""
        rewind = subscriber.behind.rewind if subscriber.behind else None
        return cursor_at(self._tails, self.position_of(subscriber), rewind)

    def join(self, subscriber: Subscriber) -> None:
        """Make a subscriber live; it has everything up to `position`."""
        subscriber.behind = None
        self.behind.discard(subscriber)
        for channel in subscriber.channels:
            self._channels.setdefault(channel, set()).add(subscriber)
        if subscriber.connection is not None and not subscriber.connection.framed:
            self._plain.add(subscriber)

    def enter(self, subscriber: Subscriber) -> None:
        """Note a subscriber that is behind."""
        self.behind.add(subscriber)
        self.any_behind.set()

    def put_behind(self, subscriber: Subscriber, positions: Positions, *, slow: bool = False) -> Behind:
        """Take a live subscriber out of fan-out, with a position to catch up from."""
        self.remove(subscriber)
        subscriber.behind = behind = Behind(positions, slow=slow)
        self.enter(subscriber)
        return behind

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self.behind.discard(subscriber)
        self._pending.discard(subscriber)
        self._plain.discard(subscriber)
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
        self._before = before
        self._pending = set().union(*[self._channels[channel] for channel in frames])
        written = 0
        for members, parts in self._addressed(frames):
            size = max(1, SLICE // len(parts))
            for start in range(0, len(members), size):
                if written >= SLICE:
                    await asyncio.sleep(0)
                    written = 0
                some = self._pending.intersection(members[start : start + size])
                self._pending -= some
                written += len(some) * len(parts)
                self._write(some, parts)

    def _frames(self, batch: Batch, before: Positions) -> dict[str, list[Frame]]:
        maker = FrameMaker(self._tails, before)
        frames: dict[str, list[Frame]] = {}
        for shard, page in batch:
            for entry in page.touching(self._channels):
                if entry is None:
                    self._meter.foreign += 1
                else:
                    frames.setdefault(entry.channel, []).append(maker.frame(shard, entry))
            maker.positions[shard] = self._tails[shard].position
        return frames

    def _addressed(self, frames: dict[str, list[Frame]]) -> Iterator[tuple[list[Subscriber], list[Piece]]]:
        """Choose who gets what: those touched through the same channels share the same bytes."""
        for names, members in self._touched(list(frames)).items():
            parts = _joined([frames[name] for name in names])
            plain = self._plain and self._plain.intersection(members)
            if plain:
                yield list(plain), parts
            chunks = [Piece(chunked(data), position) for data, position in parts]
            yield [each for each in members if each not in plain] if plain else members, chunks

    def _touched(self, names: Sequence[str]) -> dict[tuple[str, ...], list[Subscriber]]:
        """Sort subscribers by those of some channels that they are in."""
        groups: dict[tuple[str, ...], list[Subscriber]] = {(name,): list(self._channels[name]) for name in names}
        if len(names) == 1 or sum(map(len, groups.values())) == len(self._pending):  # nobody is in two of them
            return groups
        touched: dict[Subscriber, tuple[str, ...]] = {}
        for only, members in groups.items():
            for subscriber in members:
                so_far = touched.get(subscriber)
                touched[subscriber] = only if so_far is None else so_far + only
        groups = {}
        for subscriber, several in touched.items():
            groups.setdefault(several, []).append(subscriber)
        return groups

    def _write(self, subscribers: set[Subscriber], parts: Sequence[Piece]) -> None:
        self._meter.deliveries += len(subscribers)
        at = self._before
        for data, after in parts:
            if slow := _write_to_all(subscribers, data):
                self._fall_behind(slow, at)
                subscribers.difference_update(slow)
            at = after

    def _fall_behind(self, subscribers: Iterable[Subscriber], at: Positions) -> None:
        for subscriber in subscribers:
            self._meter.fell_behind += 1
            self.put_behind(subscriber, at, slow=True)


def _write_to_all(subscribers: Iterable[Subscriber], data: bytes) -> list[Subscriber]:
    """Write the same bytes to each, and return those whose sockets are full.

    It is what an edge does most: nothing but the kernel is called.
    """
    size, slow = len(data), list[Subscriber]()
    for subscriber in subscribers:
        connection = subscriber.connection
        if connection is None or connection.paused:
            slow.append(subscriber)
            continue
        try:
            sent = write(connection.fd, data)
        except OSError:
            sent = 0
        if sent != size:
            connection.write(memoryview(data)[sent:] if sent else data)  # not a copy: all who wait share the bytes
    return slow


def _joined(frames: Sequence[list[Frame]]) -> list[Piece]:
    in_order = frames[0] if len(frames) == 1 else sorted([frame for channel in frames for frame in channel])
    return list(pieces(in_order))
