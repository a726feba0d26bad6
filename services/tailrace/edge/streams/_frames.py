"""Bytes for streams: events under their cursors, in pieces that many subscribers share."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tailrace.edge.window._tail import Tail
from tailrace.wire import (
    Busy,
    Entry,
    Place,
    RewindMark,
    encode_control,
    encode_cursor,
    encode_place,
    encode_rewind,
    join_places,
    with_id,
    with_retry,
)

PIECE_BYTES = 32 << 10
"""No write is longer, but for a single event that is."""
LAST_CHUNK = b"0\r\n\r\n"

Positions = tuple[int, ...]
"""A position for each shard."""


class Frame(NamedTuple):
    """One event as it goes out, and where who has got it stands."""

    number: int
    """Its place among those of one maker."""
    data: bytes
    position: Positions


class Piece(NamedTuple):
    """One write: whole events, and the position after the last."""

    data: bytes
    position: Positions


def chunked(data: bytes) -> bytes:
    """Frame bytes as one chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def busy_block(reason: str, retry_ms: int) -> bytes:
    """Tell a client that it can't be served now, and when to come back."""
    return with_retry(encode_control(Busy(reason, retry_ms)), retry_ms)


def jittered(ms: int) -> int:
    """Spread a delay over half to one and a half of it, so that clients don't come back all at once."""
    return round(ms * random.uniform(0.5, 1.5))  # noqa: S311  # no secret


class Rewind:
    """A rewind under way: what the stream's cursors have to say beside its positions.

    Shards are rewound one after another, each from its floor to its end. A cursor with the position alone would make a
    resumed stream serve all events after it, of channels, too, of which only the last few, newer ones were asked for.
    """

    def __init__(self, most: int, since_ms: int, ends: Sequence[int], floors: Sequence[int]) -> None:
        self.most, self.since_ms = most, since_ms
        self.ends, self._floors = list(ends), tuple(floors)

    @property
    def key(self) -> tuple[int, ...]:
        """What two rewinds that write the same cursors have in common."""
        return (self.most, self.since_ms, *self.ends, *self._floors)

    def end(self, shard: int) -> None:
        """Go on in a shard by its position alone."""
        self.ends[shard] = -1

    def cursor(self, tails: Sequence[Tail], positions: Sequence[int]) -> str:
        """Write the cursor of a stream that stands at these positions."""
        places = join_places([encode_place(tail.label, max(at, end)) for tail, at, end in zip(tails, positions, self.ends, strict=True)])
        for shard, (at, end) in enumerate(zip(positions, self.ends, strict=True)):
            if at < end:
                reached = None if at == self._floors[shard] else at
                return places + encode_rewind(RewindMark(self.most, self.since_ms, shard, reached), end)
        return places


def cursor_at(tails: Sequence[Tail], positions: Sequence[int], rewind: Rewind | None = None) -> str:
    """Write the cursor of a stream that stands at these positions."""
    if rewind:
        return rewind.cursor(tails, positions)
    return encode_cursor(tuple([Place(tail.label, at) for tail, at in zip(tails, positions, strict=True)]))


class FrameMaker:
    """Frames entries one after another, from a position on."""

    def __init__(self, tails: Sequence[Tail], positions: Sequence[int]) -> None:
        self.positions = list(positions)
        self._labels = [tail.label for tail in tails]
        self._places = [encode_place(label, at) for label, at in zip(self._labels, positions, strict=True)]
        self._made = 0

    def frame(self, shard: int, entry: Entry) -> Frame:
        """Frame an entry under the cursor of who has got it."""
        self.positions[shard] = entry.id
        self._places[shard] = encode_place(self._labels[shard], entry.id)
        self._made += 1
        return Frame(self._made, with_id(entry.block, join_places(self._places)), tuple(self.positions))


class RewindFrameMaker(FrameMaker):
    """The same for a stream that is being rewound."""

    def __init__(self, tails: Sequence[Tail], positions: Sequence[int], rewind: Rewind) -> None:
        super().__init__(tails, positions)
        self._tails, self._rewind = tails, rewind

    def frame(self, shard: int, entry: Entry) -> Frame:
        self.positions[shard] = entry.id
        self._made += 1
        cursor = self._rewind.cursor(self._tails, self.positions)
        return Frame(self._made, with_id(entry.block, cursor), tuple(self.positions))


def pieces(frames: Iterable[Frame]) -> Iterator[Piece]:
    """Join frames to as few writes as their length allows, cut between events; no more are made than are asked for."""
    waiting: list[bytes] = []
    size = 0
    position: Positions = ()
    for _, data, after in frames:
        if waiting and size + len(data) > PIECE_BYTES:
            yield Piece(b"".join(waiting), position)
            waiting, size = [], 0
        waiting.append(data)
        size += len(data)
        position = after
    if waiting:
        yield Piece(b"".join(waiting), position)
