"""What the shards remember of jobs that haven't ended, and what of it they may forget."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from tailrace.events import Appended
from tailrace.worker.pushes._batch import number, ticket_of


class Memory:
    """The outcomes that shards keep for one holder: its own, and those that former holders left."""

    def __init__(self, shards: int) -> None:
        self.known: dict[str, Appended] = {}
        """By event name: what former holders appended of jobs that haven't ended."""
        self.begun: dict[str, set[int]] = {}
        """By ticket: which pushes of a job those are."""
        self.last: list[tuple[int, int]] = [(0, 0)] * shards
        """By shard: the last of those, as number of its ticket and index."""
        self._open: dict[tuple[int, str], set[str]] = {}
        self._holding: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._forgettable: list[list[str]] = [[] for _ in range(shards)]

    def inherit(self, shard: int, outcomes: Mapping[str, Collection[Appended]], left: Collection[str]) -> None:
        """Take over what a shard remembers; `left` are the tickets that haven't ended."""
        for field, appended in outcomes.items():
            kept = [each for each in appended if ticket_of(each.name) in left]
            for each in kept:
                ticket, _, index = each.name.partition(":")
                self.known[each.name] = each
                self.begun.setdefault(ticket, set()).add(int(index))
                self.last[shard] = max(self.last[shard], (number(ticket), int(index)))
            self.remember(shard, field, {ticket_of(each.name) for each in kept})

    def remember(self, shard: int, field: str, tickets: set[str]) -> None:
        """Note that a former holder's outcome is needed until these jobs have ended."""
        if not tickets:
            self._forgettable[shard].append(field)
            return
        self._open[shard, field] = tickets
        for ticket in tickets:
            self._holding[ticket].append((shard, field))

    def over(self, outcomes: Iterable[tuple[int, str]]) -> None:
        """Note that all jobs of this holder's own outcomes (shard, field) have ended."""
        for shard, field in outcomes:
            self._forgettable[shard].append(field)

    def end(self, tickets: Iterable[str]) -> None:
        """Note that jobs have ended: what former holders did of them is needed no more."""
        for ticket in tickets if self._holding else ():
            for index in self.begun.pop(ticket, ()):
                self.known.pop(f"{ticket}:{index}", None)
            for outcome in self._holding.pop(ticket, ()):
                needed = self._open[outcome]
                needed.discard(ticket)
                if not needed:
                    del self._open[outcome]
                    self._forgettable[outcome[0]].append(outcome[1])

    def forgettable(self, shard: int) -> list[str]:
        """Hand over the outcomes that a shard may forget; they aren't named again."""
        fields, self._forgettable[shard] = self._forgettable[shard], []
        return fields
