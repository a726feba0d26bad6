"""A reference model of edges and clients that follow what the model of Redis holds and answers (`redis_model`).

Tails, rings, cursors, gaps, rounds and replays are the edge's own (docs/contracts.md, "The cursor").
"""

from random import Random
from typing import NamedTuple

from tailrace.edge.streams._admission import LastEvents, begin_rewind, resume_rewind
from tailrace.edge.streams._frames import cursor_at
from tailrace.edge.streams._resume import Missing, Move, Question, Round, holds, next_move, replay
from tailrace.edge.streams._subscriber import Behind
from tailrace.edge.window._ring import Ring
from tailrace.edge.window._segment import Page
from tailrace.edge.window._tail import Tail
from tailrace.events import Answer
from tailrace.wire import Cursor, Entry, decode_cursor, decode_rewind
from tests.edge.redis_model import CHANNELS, SHARDS, Shard


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
        self.clients: list[Client] = []
        self.asked: dict[int, Flight] = {}
        """By shard: the round that is on its way."""

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

    def histories(self, number: int, now: int) -> None:
        """Have the round come in that is on its way, or send one for all who need it."""
        flight = self.asked.pop(number, None)
        if flight:
            for client, stream, question in flight.askers:
                if flight.answer.generation == flight.label == self.tails[number].label:
                    client.be_given(number, stream, question, flight)
                else:
                    self.sync(number)
                    return
            return
        askers = [(client, client.stream, client.question(number)) for client in self.clients if client.needs(number)]
        self.dice.shuffle(askers)
        together = Round([question for _, _, question in askers])
        answer = self.shards[number].answer(together.wanted, together.must, now)
        together.take(answer.histories)
        self.asked[number] = Flight(askers, together, answer, self.tails[number].ring.base, self.tails[number].label)

    def _after(self, number: int) -> list[Entry]:
        return [entry for entry in self.shards[number].log if entry.id > self.tails[number].seen][:4]

    def sync(self, number: int) -> None:
        former = self.tails[number].label
        survived = self.tails[number].adopt(self.shards[number].generations())
        for client in self.clients:
            if self.tails[number].label != former:
                client.behind.end_rewind(number, SHARDS)
            if client.positions[number] > survived:
                client.reset({number})


class Client:
    def __init__(self, edge: Edge, channels: list[str], rewind: int = 0) -> None:
        self.edge, self.channels, self.rewind = edge, channels, rewind
        self.behind = Behind(())
        self.cursor = ""
        self.seen: list[Seen] = []
        self.began = [tail.position for tail in edge.tails]
        self.away = True
        self.stream = 0
        """Counts its connections."""
        self.owed: dict[str, int] = {}
        """In a rewind: the first event of each channel that it was to begin with."""
        self.alone: set[int] = set()
        """Shards of which it has to be asked for alone."""
        self.connect(edge)

    @property
    def positions(self) -> list[int]:
        return self.behind.positions

    def here(self, shard: int) -> list[str]:
        return [channel for channel in self.channels if CHANNELS.index(channel) % SHARDS == shard]

    def connect(self, edge: Edge) -> None:
        self.leave()
        self.edge = edge
        self.stream += 1
        self.alone.clear()
        tails = edge.tails
        self.behind = Behind([tail.position for tail in tails])
        broken = set()
        cursor = decode_cursor(self.cursor, SHARDS) if self.cursor else ()
        for number, place in enumerate(cursor):
            if (good := holds(tails[number], place, None)) is None:
                edge.sync(number)
                good = holds(tails[number], place, edge.shards[number].generations())
            if good:
                self.positions[number] = place.position
            else:
                broken.add(number)
                self.positions[number] = tails[number].position
        mark = decode_rewind(self.cursor, cursor)
        if mark:
            ends = [-1 if number < mark.shard or number in broken else place.position for number, place in enumerate(cursor)]
            resume_rewind(self.behind, mark, ends, self.last_events(ends))
        elif self.rewind and not self.cursor:
            ends = list(self.positions)
            begin_rewind(self.behind, self.rewind, ends, self.last_events(ends))
            self.owed = dict(self.behind.starts)
        edge.clients.append(self)
        self.away = False
        self.reset(broken)
        self.note()

    def leave(self) -> None:
        """Be gone for a while, with the cursor."""
        if not self.away:
            self.edge.clients.remove(self)
        self.away = True

    def reset(self, shards: set[int]) -> None:
        if shards:
            for number in shards:
                self.positions[number] = self.edge.tails[number].position
            self.note()
            self.seen.append(Seen("reset"))

    def note(self) -> None:
        """Remember the cursor, which never goes back within a generation."""
        text = cursor_at(self.edge.tails, self.positions, self.behind.rewind)
        places = decode_cursor(text, SHARDS)
        if self.cursor and not (self.seen and self.seen[-1].kind == "reset"):
            former: Cursor = decode_cursor(self.cursor, SHARDS)
            for was, now in zip(former, places, strict=True):
                assert now.generation != was.generation or now.position >= was.position
        self.cursor = text

    def step(self, now: int) -> Move:
        edge, positions = self.edge, self.positions
        move, number = self.next_move()
        tail = edge.tails[number]
        if move is Move.RING:
            entries = tail.ring.after(positions[number], self.here(number), 3)
            self.take(number, entries, entries[-1].id if len(entries) == 3 else tail.position)
        elif move is Move.HISTORIES:
            edge.histories(number, now)
        return move

    def needs(self, number: int) -> bool:
        """Say whether it needs a shard's histories."""
        return self.next_move() == (Move.HISTORIES, number)

    def next_move(self) -> tuple[Move, int]:
        ends = self.behind.rewind.ends if self.behind.rewind else ()
        return next_move(self.positions, self.edge.tails, lambda shard: bool(self.here(shard)), ends)

    def last_events(self, ends: list[int]) -> dict[str, LastEvents]:
        """Look into the histories of all channels whose shard is still being rewound."""
        most = self.rewind
        found = {}
        for channel in self.channels:
            number = CHANNELS.index(channel) % SHARDS
            if ends[number] >= 0:
                ids = [entry.id for entry in self.edge.shards[number].histories.get(channel, []) if entry.id <= ends[number]][-most:]
                found[channel] = LastEvents(ids[0] if ids else None, len(ids) == most)
        return found

    def question(self, number: int) -> Question:
        question = Question(self.positions[number], self.here(number))
        question.alone = number in self.alone
        return question

    def be_given(self, number: int, stream: int, question: Question, flight: "Flight") -> None:
        """Take what a round brought, unless something else has happened meanwhile."""
        found = flight.together.share(question)
        if self.away or stream != self.stream or self.positions[number] != question.after:
            return
        self.alone.discard(number)
        if found:
            result = replay(found, self.edge.tails[number].ring, question.after, flight.bound, self.behind.excused)
            self.say(result.missing)
            self.take(number, result.entries, result.position)
        elif question.alone:
            self.alone.add(number)

    def say(self, missing: list[Missing]) -> None:
        self.seen += [Seen("gap", gap.channel, gap.upto) for gap in missing]

    def take(self, number: int, entries: list[Entry], end: int) -> None:
        for entry in entries:
            if entry.id < self.behind.starts.get(entry.channel, 0):
                continue
            self.positions[number] = entry.id
            self.seen.append(Seen("event", entry.channel, entry.id))
            self.note()
        self.positions[number] = end
        self.note()


class Flight(NamedTuple):
    """A round on its way."""

    askers: list[tuple[Client, int, Question]]
    together: Round
    answer: Answer
    bound: int
    label: str
    """Ring and generation when it was sent."""
