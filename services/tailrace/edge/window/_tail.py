"""The tail: where an edge's reader stands in one shard's log (docs/internals/decisions.md, "Generations")."""

from collections.abc import Sequence

from tailrace.edge.window._ring import Ring
from tailrace.edge.window._segment import Page
from tailrace.events import Generations
from tailrace.wire import Entry


class Tail:
    """A generation, a position in it, and the ring of what came before."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.label = ""
        self.position = ring.base
        """The last entry that was handled."""
        self.seen = ring.base
        """The last id that was read: past `position` where what followed was no entry of ours."""
        self.lag_s = 0.0
        """How much older it was than the log's last id, when that was last looked at."""

    def begin(self, generations: Generations, entries: Sequence[Entry]) -> None:
        """Start at the log's end, with the newest entries in the ring."""
        self.label = generations.label
        self.position = self.seen = max([generations.top, *[entry.id for entry in entries[-1:]]])
        self.ring.restart(entries[0].log_before if entries else self.position)
        self.ring.extend(Page.of(entries))

    def continues(self, page: Page) -> bool:
        """Say whether entries follow what was read, in the generation that is known; where none is whole, that they do."""
        first, last = page.first, page.last
        return not (first and last) or (first.log_before in (self.position, self.seen) and last.generation == self.label)

    def fell_off(self, page: Page) -> bool:
        """Say whether the log was trimmed past the reader, before the first of these entries."""
        return page.first is not None and page.first.log_before not in (self.position, self.seen)

    def take(self, page: Page, seen: int) -> None:
        """Go on to the last of these entries."""
        first, last = page.first, page.last
        if first and last:
            if first.log_before not in (self.position, self.seen):
                self.ring.restart(first.log_before)
            self.ring.extend(page)
            self.position = last.id
        self.seen = seen

    def skip_to(self, top: int) -> None:
        """Go on at the log's last id: what was before it, and not read, has been trimmed."""
        self.position = self.seen = top
        self.ring.restart(top)

    def adopt(self, generations: Generations) -> float:
        """Go on in the newest generation; return up to which id positions in the former one are good.

        Where this reader's isn't, it goes back to what survived and drops its ring.
        """
        survived = generations.survived(self.label)
        self.lag_s = max(generations.top - self.seen, 0) / (1000 << 64)
        if self.position > survived:
            self.position = int(survived) if survived >= 0 else generations.top
            self.seen = self.position
            self.ring.restart(self.position)
        self.label = generations.label
        return survived
