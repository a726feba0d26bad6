"""What clients missed, got twice, or in another order than others: pure functions of what was accepted and what was seen."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, pairwise
from typing import NamedTuple


class Event(NamedTuple):
    """The n-th push to a channel, by the producer's count."""

    channel: str
    number: int


class Gap(NamedTuple):
    """A client was told that something of a channel is gone."""

    channel: str


class Start(NamedTuple):
    """A client's stream began, or was reset: from here on it is owed each channel's pushes from the given number on.

    Those from before that come all the same are welcome.
    """

    owed: Mapping[str, int]


Seen = Event | Gap | Start

event = cache(Event)
"""Makes an event once, however many clients see it."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with what one client saw."""

    lost: tuple[Event, ...] = ()
    """Owed and accepted, but never seen."""
    doubled: tuple[Event, ...] = ()
    reordered: tuple[Event, ...] = ()
    """Came after a later one of their channel."""
    silent: tuple[Event, ...] = ()
    """Lost, and nothing was said where they were missing."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.reordered or self.silent)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.lost + other.lost, self.doubled + other.doubled, self.reordered + other.reordered, self.silent + other.silent)


def judge(accepted: Mapping[str, Sequence[int]], seen: Iterable[Seen]) -> Verdict:
    """Hold what a client saw against what was accepted of its channels, each in rising numbers.

    What was seen but never accepted (nobody got the answer) isn't held against anybody.
    """
    judge = Judge(accepted)
    judge.take(seen)
    return judge.verdict()


class Judge:
    """Does so piece by piece. What is accepted may grow, but what is seen comes after what was accepted before it."""

    def __init__(self, accepted: Mapping[str, Sequence[int]]) -> None:
        self._streams = {channel: _Stream(channel, numbers) for channel, numbers in accepted.items()}

    def take(self, seen: Iterable[Seen]) -> None:
        for item in seen:
            if isinstance(item, Start):
                for channel, stream in self._streams.items():
                    stream.start(item.owed.get(channel, 0))
            elif (stream_of := self._streams.get(item.channel)) is None:
                continue
            elif isinstance(item, Gap):
                stream_of.said = True
            else:
                stream_of.take(item.number)

    def verdict(self, upto: Mapping[str, int] | None = None) -> Verdict:
        """Give what is wrong so far, if all up to the given numbers should have come; without them, all that was accepted."""
        return sum([stream.verdict(None if upto is None else upto.get(name, -1)) for name, stream in self._streams.items()], Verdict())


class _Stream:
    """One channel as one client saw it."""

    def __init__(self, channel: str, accepted: Sequence[int]) -> None:
        self._channel, self._accepted = channel, accepted
        self._next = -1
        """The first number that is owed; below 0 before a stream began."""
        self._latest = -1
        """Since the stream began; below 0 where nothing has come."""
        self.said = False
        """Whether a gap was told since the last event."""
        self._here: set[int] = set()
        self._ever: set[int] = set()
        self._lost: list[int] = []
        self._silent: list[int] = []
        self._doubled: list[int] = []
        self._reordered: list[int] = []

    def start(self, owed: int) -> None:
        if self._next >= 0:
            self._miss(owed, told=True)
        self._next, self._latest, self.said, self._here = owed, -1, False, set()

    def take(self, number: int) -> None:
        if number in self._here:
            self._doubled.append(number)
        elif number < self._latest:
            self._reordered.append(number)
        else:
            self._miss(number, told=self.said)
            self._latest, self._next, self.said = number, number + 1, False
        self._here.add(number)
        self._ever.add(number)

    def verdict(self, upto: int | None) -> Verdict:
        last = upto if upto is not None else self._accepted[-1] if self._accepted else -1
        missing = self._missing(last + 1) if self._next >= 0 else []
        return Verdict(
            self._events(number for number in (*self._lost, *missing) if number not in self._ever),
            self._events(self._doubled),
            self._events(self._reordered),
            self._events(number for number in (*self._silent, *([] if self.said else missing)) if number not in self._ever),
        )

    def _miss(self, upto: int, *, told: bool) -> None:
        missing = self._missing(upto)
        self._lost += missing
        if not told:
            self._silent += missing

    def _missing(self, upto: int) -> Sequence[int]:
        return self._accepted[bisect_left(self._accepted, max(self._next, 0)) : bisect_left(self._accepted, upto)]

    def _events(self, numbers: Iterable[int]) -> tuple[Event, ...]:
        return tuple([Event(self._channel, number) for number in numbers])


def forks(seen: Mapping[str, Iterable[Seen]]) -> tuple[tuple[str, str], ...]:
    """Give pairs of clients, by name, that saw events of one channel in different orders.

    Three can differ though each two of them agree; then the pairs are of those that can't all be right.
    """
    found: set[tuple[str, str]] = set()
    orders: dict[str, dict[str, list[int]]] = {}
    for client, items in seen.items():
        for item in items:
            if isinstance(item, Event):
                orders.setdefault(item.channel, {}).setdefault(client, []).append(item.number)
    for of_channel in orders.values():
        found |= _forks(of_channel)
    return tuple(sorted(found))


def _forks(orders: Mapping[str, Sequence[int]]) -> set[tuple[str, str]]:
    """One order fits all where "came before" has no cycle; only where it has one are all pairs compared."""
    firsts = {client: list(dict.fromkeys(numbers)) for client, numbers in orders.items()}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for before, after in {pair for numbers in firsts.values() for pair in pairwise(numbers)}:
        sorter.add(after, before)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = {*pairwise(error.args[1])}
        differing = {(one, other) for one, other in combinations(sorted(firsts), 2) if _differ(firsts[one], firsts[other])}
        return differing or {*pairwise(sorted([client for client in firsts if cycle & {*pairwise(firsts[client])}]))}
    return set()


def _differ(one: Sequence[int], other: Sequence[int]) -> bool:
    places = {number: place for place, number in enumerate(other)}
    common = [places[number] for number in one if number in places]
    return any(here > there for here, there in pairwise(common))
