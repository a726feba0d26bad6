"""The resume rule: what histories and ring give a subscriber after its position, and what is missing there.

What it promises stands in docs/contracts.md ("The cursor"), its reasons in docs/internals/decisions.md; tests/edge/model.py tries it.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from tailrace.edge.window._ring import Ring
from tailrace.edge.window._tail import Tail
from tailrace.events import ChannelHistory, Generations
from tailrace.wire import Entry, Place


class Move(Enum):
    """What a subscriber that is behind does next."""

    WAIT = "its cursor is ahead of the reader"
    RING = "the ring has what comes next"
    HISTORIES = "the ring doesn't reach back far enough"
    LIVE = "it has everything"


def next_move(positions: list[int], tails: Sequence[Tail], asks: Callable[[int], bool], ends: Sequence[int] = ()) -> tuple[Move, int]:
    """Choose the next move, and the shard that it is about.

    A rewind waits until the reader has reached all of its `ends`, because it finishes each shard before the next. Positions of
    shards of which the subscriber asks for nothing move on by themselves.
    """
    for needed in (positions, ends):
        if any(at > tail.position for at, tail in zip(needed, tails, strict=False)):
            return Move.WAIT, 0
    for shard, tail in enumerate(tails):
        if positions[shard] == tail.position:
            continue
        if not asks(shard):
            positions[shard] = tail.position
        elif positions[shard] >= tail.ring.base:
            return Move.RING, shard
        else:
            return Move.HISTORIES, shard
    return Move.LIVE, 0


def holds(tail: Tail, place: Place, generations: Generations | None) -> bool | None:
    """Say whether a stream can go on from a place, or None where Redis has to be asked first: only its word resets."""
    if place.generation == tail.label and place.position <= tail.position:
        return True
    if generations is None or generations.label != tail.label:
        return None
    return generations.holds(place.generation, place.position)


class Missing(NamedTuple):
    """Events of a channel that can't be had any more."""

    channel: str
    upto: int
    """The last that is missing; tells whether it was said already."""
    next: int
    """The first that can be had, or where none is there, the last that is missing."""


class Replay(NamedTuple):
    """One bounded batch from the histories."""

    missing: list[Missing]
    """To be said before the position moves at all."""
    entries: list[Entry]
    position: int
    """Where the subscriber is after all of them."""


def replay(histories: Mapping[str, ChannelHistory], ring: Ring, after: int, bound: int, excused: Mapping[str, int]) -> Replay:
    """Merge what histories hold after a position, up to `bound`: the ring's base when they were asked.

    `excused` are channels of a rewind: nothing up to the given position was asked for.
    """
    stops = [entries[-1].id for entries, more, _ in histories.values() if more and entries]
    limit = min([*stops, bound])
    missing = []
    for channel, (entries, _, last) in histories.items():
        in_ring = ring.first(bound, channel)
        oldest = entries[0] if entries and not (in_ring and in_ring.id < entries[0].id) else in_ring
        upto = oldest.before if oldest else last
        if upto > after and upto > excused.get(channel, -1):
            missing.append(Missing(channel, upto, oldest.id if oldest else upto))
    merged = sorted([entry for entries, _, _ in histories.values() for entry in entries if entry.id <= limit])
    return Replay(missing, merged, limit)
