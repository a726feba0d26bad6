"""The resume rule: which events a subscriber gets after its position, and which of them are missing.

docs/contracts.md ("The cursor") states the guarantee, docs/internals/decisions.md the reasons; tests/edge/model.py tests the rule
against random histories. A `Round` reads the histories that several subscribers need with one command.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from tailrace.edge.window._ring import Ring
from tailrace.edge.window._tail import Tail
from tailrace.events import ChannelHistory, Generations, Wanted
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


_MOST_OF_ONE, _MOST_OF_ALL = 128, 400
"""Entries of a channel, and about of all that one subscriber asks for: a history as it is by default fits."""


class Question:
    """What one subscriber needs: what its channels' histories hold after its position."""

    __slots__ = ("after", "alone", "channels")

    def __init__(self, after: int, channels: Sequence[str]) -> None:
        self.after, self.channels = after, channels
        self.alone = False
        """What was read from an older position didn't reach it."""


class Round:
    """Asks for each channel once, from the oldest position on, and anew for those whom such an answer didn't reach."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._oldest: dict[str, int] = {}
        for question in questions:
            if not question.alone:
                for channel in question.channels:
                    self._oldest[channel] = min(question.after, self._oldest.get(channel, question.after))
        wanted: dict[tuple[str, int], Wanted] = {}
        for question in questions:
            most = max(2, min(_MOST_OF_ONE, _MOST_OF_ALL // len(question.channels)))
            for channel in question.channels:
                after = self._start(question, channel)
                wanted.setdefault((channel, after), Wanted(channel, after, most))
        self.wanted = [*wanted.values()]
        self.must = len(questions[0].channels)
        """How many of them have to be answered, so that it goes on: the first question's."""
        self._found: dict[tuple[str, int], ChannelHistory | None] = {}

    def _start(self, question: Question, channel: str) -> int:
        return question.after if question.alone else self._oldest[channel]

    def take(self, histories: Sequence[ChannelHistory | None]) -> None:
        """Take what Redis answered."""
        self._found = {(channel, after): history for (channel, after, _), history in zip(self.wanted, histories, strict=True)}

    def share(self, question: Question) -> dict[str, ChannelHistory] | None:
        """Return what was found for a question, or None where it has to be asked again."""
        histories = {}
        for channel in question.channels:
            start = self._start(question, channel)
            history = self._found[channel, start]
            if history and start != question.after:
                history = history.since(question.after)
                question.alone = history is None
            if history is None:
                return None
            histories[channel] = history
        return histories
