"""The live streams of a process, found by what a revocation names. Deliveries don't touch it."""

from collections.abc import Collection, Hashable
from typing import Generic, NamedTuple, TypeVar

from tailrace.access._grant import Grant
from tailrace.access._revocations import Revocation

S = TypeVar("S", bound=Hashable)


class _Entered(NamedTuple):
    grant: Grant
    channels: Collection[str]


class Streams(Generic[S]):
    """An index of streams with a credential. A session is found among the streams of its person, who has few."""

    def __init__(self) -> None:
        self._entered = dict[S, _Entered]()
        self._by_sub = dict[str, set[S]]()
        self._by_channel = dict[str, set[S]]()

    def __len__(self) -> int:
        """Return how many streams have entered."""
        return len(self._entered)

    def enter(self, stream: S, grant: Grant, channels: Collection[str]) -> None:
        """Add a stream with the channels that its grant allows. Public channels don't belong here: nothing takes them away.

        Raises ValueError: the stream has entered already.
        """
        if stream in self._entered:
            raise ValueError("the stream has entered already")
        self._entered[stream] = _Entered(grant, frozenset(channels))
        self._by_sub.setdefault(grant.sub, set()).add(stream)
        for channel in channels:
            self._by_channel.setdefault(channel, set()).add(stream)

    def leave(self, stream: S) -> None:
        """Remove a stream; one that isn't there is ignored, since a stream can end for two reasons at once."""
        entered = self._entered.pop(stream, None)
        if entered is None:
            return
        _remove(self._by_sub, entered.grant.sub, stream)
        for channel in entered.channels:
            _remove(self._by_channel, channel, stream)

    def find(self, revocation: Revocation) -> list[S]:
        """Return the streams that a revocation, seen for the first time, concerns."""
        if revocation.sub is not None:
            candidates = self._by_sub.get(revocation.sub, ())
        else:
            candidates = self._by_channel.get(revocation.channel or "", ())
        return [stream for stream in candidates if revocation.concerns(*self._entered[stream])]

    def find_sub(self, sub: str) -> list[S]:
        """Return the streams of a person."""
        return list(self._by_sub.get(sub, ()))


def _remove(index: dict[str, set[S]], key: str, stream: S) -> None:
    members = index[key]
    members.remove(stream)
    if not members:
        del index[key]
