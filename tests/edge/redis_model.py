"""A reference model of what Redis holds of a shard, and answers (docs/contracts.md, "The cursor")."""

from random import Random

from tailrace.events import Answer, ChannelHistory, Generations, Wanted
from tailrace.wire import Entry, id_at

CHANNELS = ("d", "a", "e", "b")
"""Of shard 0 and 1 by turns; the last keeps no history."""
SHARDS = 2
STATE_MS, SLACK_MS, HISTORY_MS = 10_000, 1000, 3000
"""How long a channel's last id says what came before, how much longer it is kept, and how long a history is."""
MOST = 2
"""Entries of a channel that Redis answers at once."""


class Shard:
    """What Redis holds of a shard, and what it would answer."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.log: list[Entry] = []
        self.top = 0
        self.histories: dict[str, list[Entry]] = {}
        self.last: dict[str, int] = {}
        self._appended: dict[str, int] = {}
        """When each channel had its last event."""
        self.label, self.past = self.fresh(), tuple[tuple[str, int], ...]()
        self.lost = False

    def fresh(self) -> str:
        return "".join(self.dice.choices("ABCDEFGHIJ", k=5))

    def append(self, channel: str, now: int) -> Entry:
        position = max(id_at(now), self.top + 1)
        before = self.last.get(channel, id_at(now - STATE_MS))
        entry = Entry(position, channel, before, self.label, self.top, b"%d" % position)
        self.log.append(entry)
        self.top = self.last[channel] = position
        self._appended[channel] = now
        if channel != CHANNELS[-1]:
            self.histories.setdefault(channel, []).append(entry)
        return entry

    def restart(self, losing: int) -> None:
        """Go on without the last entries, in another generation."""
        lost = self.log[len(self.log) - losing :] if losing else []
        self.log = self.log[: len(self.log) - len(lost)]
        if lost:
            self.top = lost[0].log_before
            self.lost = True
            for entry in reversed(lost):
                self.last[entry.channel] = entry.before
                if entry in self.histories.get(entry.channel, []):
                    self.histories[entry.channel].remove(entry)
        self.past = (*self.past, (self.label, self.top))
        self.label = self.fresh()

    def expire(self, now: int) -> None:
        """Forget histories and last ids whose time is over; the log stays."""
        for channel, at in self._appended.items():
            if now > at + HISTORY_MS:
                self.histories.pop(channel, None)
            if now > at + STATE_MS + SLACK_MS:
                self.last.pop(channel, None)

    def generations(self) -> Generations:
        return Generations(self.label, self.top, self.past)

    def answer(self, wanted: list[Wanted], must: int, now: int) -> Answer:
        room = self.dice.randint(0, 6)
        found: list[ChannelHistory | None] = []
        for number, (channel, after, _) in enumerate(wanted):
            newer = [entry for entry in self.histories.get(channel, []) if entry.id > after]
            last = self.last.get(channel, id_at(now - STATE_MS))
            history = ChannelHistory(newer[:MOST], len(newer) >= MOST, last)
            found.append(history if number < must or room > 0 or last <= after else None)
            room -= len(history.entries)
        return Answer(self.label, self.top, found)
