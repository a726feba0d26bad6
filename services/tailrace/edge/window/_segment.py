"""A page: some entries of a log in order, each read when it is first asked for; most never are."""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import Self

from tailrace.events import RawEntry, whole_entries
from tailrace.wire import Entry, EntryError, decode_entry, parse_id

_SPACES = 3  # of a head at least: between channel, p, generation and l


class Page:
    """Knows of each entry only its channel until somebody wants more; numbers entries from 0 on, those dropped included."""

    __slots__ = ("_dropped", "_index", "_indexed", "_items", "channels")

    def __init__(self, items: list[Entry | RawEntry], channels: list[str]) -> None:
        self._items, self.channels = items, channels
        self._dropped = 0
        self._index: dict[str, list[int]] = {}
        """Numbers by channel, ..."""
        self._indexed = 0
        """... as far as there was a question since they came."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Make a page of entries that have been read."""
        items: list[Entry | RawEntry] = [*entries]
        return cls(items, [item.channel for item in items if isinstance(item, Entry)])

    @classmethod
    def read(cls, raw: Sequence[RawEntry]) -> Self:
        """Make a page of entries as Redis answers them, leaving out those that have another form than ours."""
        try:
            return cls([*raw], _channels(raw))
        except (ValueError, IndexError):
            return cls.of(whole_entries(raw))

    def __len__(self) -> int:
        return len(self._items)

    @property
    def end(self) -> int:
        """The number of the entry that comes next."""
        return self._dropped + len(self)

    @property
    def first(self) -> Entry | None:
        """The first whole entry."""
        return self._first_whole(range(len(self._items)))

    @property
    def last(self) -> Entry | None:
        return self._first_whole(range(len(self._items) - 1, -1, -1))

    def _first_whole(self, places: Iterable[int]) -> Entry | None:
        for place in places:
            entry = self._entry(place)
            if entry is not None:
                return entry
        return None

    def _whole(self, places: Iterable[int]) -> Iterator[Entry]:
        return (entry for place in places if (entry := self._entry(place)))

    def touching(self, channels: Container[str]) -> list[Entry | None]:
        """Return the entries of some channels; None for each that turns out to be no whole one."""
        return [self._entry(place) for place, channel in enumerate(self.channels) if channel in channels]

    def _entry(self, place: int) -> Entry | None:
        item = self._items[place]
        if isinstance(item, Entry):
            return item
        try:
            entry = self._items[place] = decode_entry(*item)
        except EntryError:
            return None
        return entry

    def id(self, place: int) -> int:
        """Return the id of the entry at a place, from the oldest or, below 0, from the newest on."""
        item = self._items[place]
        return item.id if isinstance(item, Entry) else parse_id(item[0])

    def after(self, position: int, channels: Iterable[str], most: int) -> list[Entry]:
        """Return the first whole entries of some channels after a position, `most` in all."""
        index, start = self._up_to_date(), self._dropped
        numbers = [numbers for channel in channels if (numbers := index.get(channel))]
        if self.id(0) <= position:
            start += bisect_left(range(len(self)), position + 1, key=self.id)
        found = [number for each in numbers for number in each[bisect_left(each, start) :]]
        if len(numbers) > 1:
            found.sort()
        return list(islice(self._whole(number - self._dropped for number in found), most))

    def _up_to_date(self) -> dict[str, list[int]]:
        index = self._index
        for number in range(max(self._indexed, self._dropped), self.end):
            index.setdefault(self.channels[number - self._dropped], []).append(number)
        self._indexed = self.end
        return index

    def bytes(self, count: int | None = None) -> int:
        """Return how long the blocks of the oldest entries are, or of all."""
        return sum([len(item.block if isinstance(item, Entry) else item[1][3]) for item in self._items[:count]])

    def extend(self, other: Self) -> None:
        self._items += other._items
        self.channels += other.channels

    def split(self, size: int) -> list[Self]:
        """Cut into pages of a size; the parts are new."""
        return [type(self)(self._items[at : at + size], self.channels[at : at + size]) for at in range(0, len(self), size)]

    def drop(self, count: int) -> None:
        """Forget the oldest entries."""
        del self._items[:count], self.channels[:count]
        self._dropped += count


def _channels(raw: Sequence[RawEntry]) -> list[str]:
    """Return each entry's channel, whatever a later version writes after the words and fields that are known here.

    Makes no list or tuple for each entry: the garbage collector would look at them, beside all entries that are kept.
    Raises ValueError or IndexError: there is an entry of another form than ours.
    """
    joined = b"\n".join([fields[1] for _, fields in raw if fields[3]]).decode()
    heads = joined.split("\n")
    if len(heads) != len(raw):
        raise ValueError
    if joined.count(" ") != _SPACES * len(raw) and min([head.count(" ") for head in heads]) < _SPACES:
        raise ValueError
    return [head[: head.index(" ")] for head in heads]
