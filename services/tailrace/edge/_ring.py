"""The ring: a window of a log's newest entries, complete after `base`, with an index per channel."""

from bisect import bisect_left
from collections.abc import Iterable

from tailrace.wire import Entry

ENTRY_BYTES = 400
"""What an entry takes beside its block, about."""
_COMPACT_AT = 64


class _Window:
    """Entries in order; the oldest leave in amortised constant time."""

    __slots__ = ("_entries", "_first")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._first = 0

    def __len__(self) -> int:
        return len(self._entries) - self._first

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)

    def pop_oldest(self) -> Entry:
        entry = self._entries[self._first]
        self._first += 1
        if self._first >= _COMPACT_AT and self._first * 2 > len(self._entries):
            del self._entries[: self._first]
            self._first = 0
        return entry

    def after(self, position: int, most: int) -> list[Entry]:
        start = bisect_left(self._entries, (position + 1,), lo=self._first)
        return self._entries[start : start + most]


class Ring:
    """Holds what a log got after `base`, as far as it was read; bounded by entries and by bytes."""

    def __init__(self, base: int, max_entries: int, max_bytes: int) -> None:
        self.base = base
        self.bytes = 0
        self._limits = max_entries, max_bytes
        self._all = _Window()
        self._channels: dict[str, _Window] = {}

    def __len__(self) -> int:
        return len(self._all)

    def restart(self, base: int) -> None:
        """Forget everything; what comes next follows `base`."""
        self.base, self.bytes = base, 0
        self._all, self._channels = _Window(), {}

    def extend(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._all.append(entry)
            self.bytes += len(entry.block) + ENTRY_BYTES
            channel = self._channels.get(entry.channel)
            if channel is None:
                channel = self._channels[entry.channel] = _Window()
            channel.append(entry)
        max_entries, max_bytes = self._limits
        while len(self._all) > max_entries or (self.bytes > max_bytes and len(self._all) > 1):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        entry = self._all.pop_oldest()
        self.base = entry.id
        self.bytes -= len(entry.block) + ENTRY_BYTES
        channel = self._channels[entry.channel]
        channel.pop_oldest()
        if not channel:
            del self._channels[entry.channel]

    def after(self, position: int, channels: Iterable[str], most: int) -> list[Entry]:
        """Return the first entries of some channels after a position, `most` in all, in log order."""
        found = [channel.after(position, most) for name in channels if (channel := self._channels.get(name))]
        if len(found) == 1:
            return found[0]
        return sorted([entry for entries in found for entry in entries])[:most]

    def first(self, position: int, channel: str) -> Entry | None:
        """Return a channel's first entry after a position."""
        window = self._channels.get(channel)
        found = window.after(position, 1) if window else None
        return found[0] if found else None
