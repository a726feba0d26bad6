"""The ring: a window of a log's newest entries, complete after `base`."""

from collections.abc import Collection

from tailrace.edge.window._segment import Page
from tailrace.wire import Entry

ENTRY_BYTES = 400
"""What an entry takes beside its block, about."""
PAGE_ENTRIES = 512


class Ring:
    """Holds what a log got after `base`, as far as it was read; bounded by entries and by bytes."""

    def __init__(self, base: int, max_entries: int, max_bytes: int) -> None:
        self.base = base
        self.bytes = 0
        self._limits = max_entries, max_bytes
        self._pages: list[Page] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def restart(self, base: int) -> None:
        """Forget everything; what comes next follows `base`."""
        self.base, self.bytes = base, 0
        self._pages, self._count = [], 0

    def extend(self, page: Page) -> None:
        if self._pages and self._pages[-1].end + len(page) <= PAGE_ENTRIES:  # those dropped count, for they stay in its index
            self._pages[-1].extend(page)
        else:
            self._pages += page.split(PAGE_ENTRIES)
        self._count += len(page)
        self.bytes += page.bytes() + ENTRY_BYTES * len(page)
        max_entries, max_bytes = self._limits
        while self._count > max_entries:
            self._drop(min(self._count - max_entries, len(self._pages[0])))
        while self.bytes > max_bytes and self._count > 1:
            self._drop(1)

    def _drop(self, count: int) -> None:
        """Drop the oldest entries, all of one page."""
        page = self._pages[0]
        self.base = page.id(count - 1)
        self.bytes -= page.bytes(count) + ENTRY_BYTES * count
        self._count -= count
        page.drop(count)
        if not len(page):
            del self._pages[0]

    def after(self, position: int, channels: Collection[str], most: int) -> list[Entry]:
        """Return the first entries of some channels after a position, `most` in all, in log order."""
        found: list[Entry] = []
        start = len(self._pages) - 1
        while start > 0 and self._pages[start].id(0) > position:  # most ask for what came last
            start -= 1
        for page in self._pages[max(start, 0) :]:
            found += page.after(position, channels, most - len(found))
            if len(found) == most:
                break
        return found

    def first(self, position: int, channel: str) -> Entry | None:
        """Return a channel's first entry after a position."""
        return next(iter(self.after(position, [channel], 1)), None)
