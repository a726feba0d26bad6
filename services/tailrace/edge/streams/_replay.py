"""Replay: brings subscribers that are behind to the live end, from the ring or from histories, one bounded step at a time."""

import asyncio
import logging
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from redis import RedisError

from tailrace.edge._context import Core
from tailrace.edge.streams._frames import FrameMaker, Piece, RewindFrameMaker, busy_block, chunked, jittered, pieces
from tailrace.edge.streams._generations import Sync
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._resume import Missing, Move, Question, Replay, Round, replay
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.events import ChannelHistory
from tailrace.wire import Control, Entry, Gap, Reset, encode_control, format_id, with_id

logger = logging.getLogger(__name__)
_APART_S = 0.005
"""From one round to the next, at least: clients come back in crowds, and who comes meanwhile shares the next."""
_CHANNELS = 2000
"""Channels that are asked for in one round, about; fewer where most have to ask again, for each time they cost as much as the others."""
_SLICE = 50
"""Subscribers served between two turns of the loop."""


class Asker(NamedTuple):
    """Who waits for a round."""

    subscriber: Subscriber
    behind: Behind
    question: Question


Give = Callable[[Subscriber, Behind, int, Replay], None]
"""Hands a subscriber what was found in a shard."""


class Histories:
    """Reads one shard's histories, one round after another. Nothing of an answer is kept when all have been served."""

    def __init__(self, core: Core, sync: Sync, shard: int, give: Give, serve: Callable[[Subscriber], None]) -> None:
        """After `give`, `serve` goes on with a subscriber."""
        self._tails, self._logs, self._sync, self._shard = core.tails, core.logs, sync, shard
        self._give, self._serve = give, serve
        self._waiting: deque[Asker] = deque()
        self._channels = _CHANNELS
        self._wake = asyncio.Event()

    def ask(self, subscriber: Subscriber, behind: Behind) -> None:
        """Have histories read for a subscriber, which is left alone until then."""
        behind.reading = True
        channels = subscriber.here(self._shard, len(self._tails))
        self._waiting.append(Asker(subscriber, behind, Question(behind.positions[self._shard], channels)))
        self._wake.set()

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self._wake.wait()
            if askers := self._next():
                await self._answer(askers)
                await asyncio.sleep(_APART_S if self._channels == _CHANNELS else 0)
            if not self._waiting:
                self._wake.clear()
                self._channels = _CHANNELS

    def _next(self) -> list[Asker]:
        """Take those out who are asked for in the next round."""
        askers, channels = list[Asker](), 0
        while self._waiting and channels < self._channels:
            asker = self._waiting.popleft()
            if self._still_asks(asker):
                channels += len(asker.question.channels)
                askers.append(asker)
        return askers

    def _still_asks(self, asker: Asker) -> bool:
        """Say whether a subscriber is there and still needs what it waits for; one that needs something else goes on."""
        subscriber, behind, question = asker
        if subscriber.behind is not behind or subscriber.connection is None:
            return False
        if subscriber.next_move(behind, self._tails) == (Move.HISTORIES, self._shard):
            question.after = behind.positions[self._shard]
            return True
        self._go_on(asker)
        return False

    def _go_on(self, asker: Asker) -> None:
        asker.behind.reading = False
        self._serve(asker.subscriber)

    async def _answer(self, askers: Sequence[Asker]) -> None:
        unserved = deque(askers)
        try:
            await self._read(unserved)
        except (RedisError, OSError) as error:
            logger.warning("can't read histories now: %s", error)
            self._channels = _CHANNELS
            for asker in unserved:
                asker.behind.reading = False  # it is looked after again, as all are who are behind
        else:
            self._waiting.extendleft(reversed(unserved))
            many = 2 * len(unserved) > len(askers)
            self._channels = max(1, self._channels // 2) if many else min(_CHANNELS, 2 * self._channels)

    async def _read(self, askers: deque[Asker]) -> None:
        """Serve askers, and leave those who have to ask again."""
        tail = self._tails[self._shard]
        bound, label = tail.ring.base, tail.label
        round_ = Round([asker.question for asker in askers])
        answer = await self._logs[self._shard].read(round_.wanted, round_.must)
        round_.take(answer.histories)
        for number in range(len(askers)):
            if not answer.generation == label == tail.label:
                await self._sync.look(self._shard)
                return
            histories = round_.share(askers[0].question)
            if histories is None:
                askers.rotate(-1)
            else:
                self._give_one(askers.popleft(), histories, bound)
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)

    def _give_one(self, asker: Asker, histories: Mapping[str, ChannelHistory], bound: int) -> None:
        subscriber, behind, question = asker
        if subscriber.behind is behind and behind.positions[self._shard] == question.after and not behind.reset:
            ring = self._tails[self._shard].ring
            self._give(subscriber, behind, self._shard, replay(histories, ring, question.after, bound, behind.excused))
        self._go_on(asker)


_STEPS = 4
_RING_ENTRIES = 256
_STEP_BYTES = 128 << 10
"""What a step writes at most, about: a slow client takes less, and the rest has to be framed anew."""
_SHARED = 16
"""Replays that are kept for who asks for the same."""


class CatchUp:
    """Ring if it reaches back far enough, else histories and then the ring; live in one step of the loop."""

    def __init__(self, core: Core, hub: Hub, sync: Sync) -> None:
        self._tails, self._hub, self._sync, self._meter = core.tails, hub, sync, core.meter
        self._histories = [Histories(core, sync, shard, self._replay, self.serve) for shard in range(len(core.tails))]
        self._ahead: set[Subscriber] = set()
        self._made: dict[tuple[tuple[object, ...], tuple[int, ...]], list[Piece]] = {}
        self._busy_retry_ms = core.config.busy_retry_ms
        sync.on_new_generation = self.serve_all

    def serve(self, subscriber: Subscriber) -> None:
        """Take as many steps as its socket allows now."""
        for _ in range(_STEPS):
            behind, connection = subscriber.behind, subscriber.connection
            if behind is None or connection is None or behind.reading or connection.paused:
                return
            if not self._step(subscriber, behind):
                return
        asyncio.get_running_loop().call_soon(self.serve, subscriber)

    def serve_all(self) -> None:
        """Look at everybody who is behind."""
        for subscriber in list(self._hub.behind):
            self.serve(subscriber)

    def serve_ahead(self) -> None:
        """Look again at who waits for the reader."""
        waiting, self._ahead = self._ahead, set()
        for subscriber in waiting:
            self.serve(subscriber)

    async def run(self) -> None:
        """Read histories for who needs them."""
        async with asyncio.TaskGroup() as group:
            for histories in self._histories:
                group.create_task(histories.run())

    def put_off(self, subscriber: Subscriber) -> None:
        """End a stream that can't be served here now; its cursor stays as it is."""
        subscriber.write(busy_block("behind", jittered(self._busy_retry_ms)))
        if subscriber.connection is not None:
            subscriber.connection.end()

    def say(self, subscriber: Subscriber, event: Control) -> None:
        """Write a control event under the subscriber's cursor."""
        subscriber.write(with_id(encode_control(event), self._hub.cursor_of(subscriber)))

    def _step(self, subscriber: Subscriber, behind: Behind) -> bool:
        """Return whether another step may follow at once."""
        if behind.reset:
            self._meter.resets += 1
            reason, behind.reset = behind.reset, ""
            self.say(subscriber, Reset(reason))
            return True
        move, shard = subscriber.next_move(behind, self._tails)
        if move is not Move.WAIT:
            behind.since = 0.0
        match move:
            case Move.WAIT:
                behind.since = behind.since or time.monotonic()
                self._ahead.add(subscriber)
            case Move.RING:
                self._from_ring(subscriber, behind, shard)
                return True
            case Move.HISTORIES:
                self._ask(subscriber, behind, shard)
            case Move.LIVE:
                self._hub.join(subscriber)
        return False

    def _from_ring(self, subscriber: Subscriber, behind: Behind, shard: int) -> None:
        tail, channels = self._tails[shard], subscriber.here(shard, len(self._tails))
        entries = tail.ring.after(behind.positions[shard], channels, _RING_ENTRIES)
        end = entries[-1].id if len(entries) == _RING_ENTRIES else tail.position
        self._write(subscriber, behind, shard, entries, end)

    def _ask(self, subscriber: Subscriber, behind: Behind, shard: int) -> None:
        connection = subscriber.connection
        if behind.slow and connection is not None:
            self._meter.cut += 1
            connection.cut()  # it resumes the ordinary way
        elif shard not in self._sync.away:
            self._histories[shard].ask(subscriber, behind)

    def _replay(self, subscriber: Subscriber, behind: Behind, shard: int, found: Replay) -> None:
        """Write what histories held."""
        for missing in found.missing:
            self._say_gap(subscriber, behind, behind.positions[shard], missing)
        self._write(subscriber, behind, shard, found.entries, found.position)

    def _pieces(self, behind: Behind, shard: int, wanted: Sequence[Entry], *, framed: bool) -> Iterable[Piece]:
        """Frame entries; after an outage many come with the same cursor and share the same bytes."""
        if not wanted:
            return ()
        rewind = behind.rewind
        place = (shard, framed, *[tail.label for tail in self._tails], *behind.positions, *(rewind.key if rewind else ()))
        key = (place, tuple([entry.id for entry in wanted]))
        made = self._made.get(key)
        if made is None:
            tails, positions = self._tails, behind.positions
            maker = RewindFrameMaker(tails, positions, rewind) if rewind else FrameMaker(tails, positions)
            made = [
                Piece(chunked(data) if framed else data, after) for data, after in pieces(maker.frame(shard, entry) for entry in wanted)
            ]
            if len(self._made) >= _SHARED:
                del self._made[next(iter(self._made))]
            self._made[key] = made
        return made

    def _say_gap(self, subscriber: Subscriber, behind: Behind, after: int, missing: Missing) -> None:
        if behind.said.get(missing.channel) != missing.upto:
            behind.said[missing.channel] = missing.upto
            self._meter.gaps += 1
            self.say(subscriber, Gap(missing.channel, format_id(after), format_id(missing.next)))

    def _write(self, subscriber: Subscriber, behind: Behind, shard: int, entries: Sequence[Entry], end: int) -> None:
        """Write entries as far as the socket takes them, and move the position as far."""
        connection = subscriber.connection
        if connection is None:
            return
        starts = behind.starts
        wanted = [entry for entry in entries if entry.id >= starts.get(entry.channel, 0)] if starts else entries
        now = _up_to(_STEP_BYTES, wanted)
        finished = len(now) == len(wanted)
        for data, after in self._pieces(behind, shard, now, framed=connection.framed):
            if connection.paused:
                finished = False
                break
            connection.write(data)
            behind.positions = list(after)
        if finished:
            behind.positions[shard] = end


def _up_to(most_bytes: int, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the first of some entries, as few as have so many bytes in their blocks."""
    return entries[: bisect_left(list(accumulate([len(entry.block) for entry in entries])), most_bytes) + 1]
