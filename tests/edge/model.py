"""A reference model of what Redis holds and answers, and of edges and clients that follow it.

The shard is the model (design.md, "Cursor and resume"); tails, rings, cursors, gaps and replays are the edge's own.
"""

from random import Random
from typing import NamedTuple

from tailrace.edge._page import Page
from tailrace.edge._resume import Missing, Move, holds, next_move, replay
from tailrace.edge._ring import Ring
from tailrace.edge._tail import Tail
from tailrace.log import Answer, ChannelHistory, Generations
from tailrace.wire import Cursor, Entry, Place, decode_cursor, encode_cursor, id_at

CHANNELS = ("a", "b", "c", "d")
SHARDS = 2
STATE_MS, SLACK_MS, HISTORY_MS = 10_000, 1000, 3000
"""How long a channel's last id says what came before, how much longer it is kept, and how long a history is."""


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
        if channel != "d":  # which keeps no history
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

    def answer(self, after: int, channels: list[str], most: int, now: int) -> Answer:
        found = {}
        for channel in channels:
            newer = [entry for entry in self.histories.get(channel, []) if entry.id > after]
            last = self.last.get(channel, id_at(now - STATE_MS))
            found[channel] = ChannelHistory(newer[:most], len(newer) >= most, last)
        return Answer(self.label, self.top, found)


class Seen(NamedTuple):
    kind: str
    channel: str = ""
    id: int = 0


class Edge:
    def __init__(self, shards: list[Shard], dice: Random) -> None:
        self.shards, self.dice = shards, dice
        self.tails = [Tail(Ring(0, dice.choice((1, 3, 10)), 1 << 20)) for _ in shards]
        for shard, tail in zip(shards, self.tails, strict=True):
            tail.begin(shard.generations(), shard.log[-dice.choice((1, 3, 10)) :])
        self.clients: set[Client] = set()

    def read(self, number: int) -> None:
        """Take what comes after the tail; look at the generations first where it doesn't fit."""
        shard, tail = self.shards[number], self.tails[number]
        found = self._after(number)
        if found and not tail.continues(Page.of(found)):
            self.sync(number)
            found = self._after(number)
        if found:
            tail.take(Page.of(found), found[-1].id)
        elif tail.seen < shard.top:
            tail.skip_to(shard.top)

    def _after(self, number: int) -> list[Entry]:
        return [entry for entry in self.shards[number].log if entry.id > self.tails[number].seen][:4]

    def sync(self, number: int) -> None:
        survived = self.tails[number].adopt(self.shards[number].generations())
        for client in self.clients:
            if client.positions[number] > survived:
                client.reset({number})


class Client:
    def __init__(self, edge: Edge, channels: list[str]) -> None:
        self.edge, self.channels = edge, channels
        self.positions: list[int] = []
        self.cursor = ""
        self.seen: list[Seen] = []
        self.began = [tail.position for tail in edge.tails]
        self.away = True
        self.connect(edge)

    def here(self, shard: int) -> list[str]:
        return [channel for channel in self.channels if CHANNELS.index(channel) % SHARDS == shard]

    def connect(self, edge: Edge) -> None:
        self.edge.clients.discard(self)
        self.edge = edge
        tails = edge.tails
        self.positions = [tail.position for tail in tails]
        broken = set()
        for number, place in enumerate(decode_cursor(self.cursor, SHARDS) if self.cursor else ()):
            if (good := holds(tails[number], place, None)) is None:
                edge.sync(number)
                good = holds(tails[number], place, edge.shards[number].generations())
            if good:
                self.positions[number] = place.position
            else:
                broken.add(number)
                self.positions[number] = tails[number].position
        edge.clients.add(self)
        self.away = False
        self.reset(broken)
        self.note()

    def leave(self) -> None:
        """Be gone for a while, with the cursor."""
        self.edge.clients.discard(self)
        self.away = True

    def reset(self, shards: set[int]) -> None:
        if shards:
            for number in shards:
                self.positions[number] = self.edge.tails[number].position
            self.note()
            self.seen.append(Seen("reset"))

    def note(self) -> None:
        """Remember the cursor, which never goes back within a generation."""
        places = [Place(tail.label, at) for tail, at in zip(self.edge.tails, self.positions, strict=True)]
        if self.cursor and not (self.seen and self.seen[-1].kind == "reset"):
            former: Cursor = decode_cursor(self.cursor, SHARDS)
            for was, now in zip(former, places, strict=True):
                assert now.generation != was.generation or now.position >= was.position
        self.cursor = encode_cursor(tuple(places))

    def step(self, now: int) -> Move:
        edge, positions = self.edge, self.positions
        move, number = next_move(positions, edge.tails, lambda shard: bool(self.here(shard)))
        tail = edge.tails[number]
        if move is Move.RING:
            entries = tail.ring.after(positions[number], self.here(number), 3)
            self.take(number, entries, entries[-1].id if len(entries) == 3 else tail.position)
        elif move is Move.HISTORIES:
            answer = edge.shards[number].answer(positions[number], self.here(number), 2, now)
            if answer.generation != tail.label:
                edge.sync(number)
            else:
                found = replay(answer.histories, tail.ring, positions[number], tail.ring.base, {})
                self.say(found.missing)
                self.take(number, found.entries, found.position)
        return move

    def say(self, missing: list[Missing]) -> None:
        self.seen += [Seen("gap", gap.channel, gap.upto) for gap in missing]

    def take(self, number: int, entries: list[Entry], end: int) -> None:
        for entry in entries:
            self.positions[number] = entry.id
            self.seen.append(Seen("event", entry.channel, entry.id))
            self.note()
        self.positions[number] = end
        self.note()
