"""What subscribers get while they catch up, and while histories are being read for them."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from tailrace.edge import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge._errors import BusyError
from tailrace.edge.streams._admission import AT_ONCE
from tailrace.edge.streams._request import StreamRequest
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.edge.window._segment import Page
from tailrace.events import Answer, ChannelHistory, Generations, LogReader, Wanted
from tailrace.wire import bucket
from tests.edge.entries import LABEL, at, entry

pytestmark = pytest.mark.anyio
LABEL_2 = "BBBBB"
A, B = (next(name for name in "abcdef" if bucket(name, 2) == shard) for shard in range(2))


class Written:
    """A connection that keeps what it is sent, and takes so many writes."""

    fd = -1
    framed = False

    def __init__(self, takes: float = math.inf) -> None:
        self.text, self.paused, self._takes = b"", False, takes

    def write(self, data: bytes | memoryview) -> None:
        self.text += data
        self._takes -= 1
        self.paused = self._takes <= 0

    def backlog(self) -> int:
        return 0

    def end(self) -> None: ...

    def cut(self) -> None: ...


class Shard:
    """Answers as Redis would, after something else has happened."""

    def __init__(self, now: Generations, meanwhile: Callable[[], None]) -> None:
        self.now, self._meanwhile, self.reads = now, meanwhile, 0

    async def sync(self) -> Generations:
        return self.now

    async def read(self, wanted: Sequence[Wanted], must: int) -> Answer:  # noqa: ARG002  # as LogReader's
        self.reads += 1
        self._meanwhile()
        return Answer(self.now.label, self.now.top, [ChannelHistory([entry(3, A, before=at(2))], more=False, last=at(3)) for _ in wanted])


class Busy:
    """Has no histories, answers nobody before as many as may ask at the same time, and counts them."""

    def __init__(self, when_full: Callable[[], None] = lambda: None) -> None:
        self._when_full = when_full
        self.asking = self.most = 0
        self._full = asyncio.Event()

    async def first_of_last(self, *_: object) -> tuple[None, bool]:
        self.asking += 1
        self.most = max(self.most, self.asking)
        if self.asking == AT_ONCE:
            self._full.set()
            self._when_full()
        await self._full.wait()
        self.asking -= 1
        return None, False


@pytest.fixture
def engine() -> Engine:
    """Give an edge of two shards, which have been read up to 10 and hold nothing in their rings."""
    engine = Engine(EdgeConfig(shards=2))
    for tail in engine._core.tails:
        tail.begin(Generations(LABEL, at(10)), [])
    return engine


def behind_in_the_first(engine: Engine) -> tuple[Subscriber, Behind, Written]:
    """Give one that stands at 2 in one shard, at the end of the other, and whose histories are being read."""
    behind, connection = Behind([at(2), at(10)]), Written()
    subscriber = Subscriber("c", (A, B), 0, behind)
    subscriber.connection = connection
    engine._hub.behind.add(subscriber)
    return subscriber, behind, connection


async def read_histories(engine: Engine, subscriber: Subscriber, shard: Shard) -> None:
    behind = subscriber.behind
    assert behind
    engine._core.logs[0] = cast("LogReader", shard)
    histories = engine._catch_up._histories[0]
    histories.ask(subscriber, behind)
    await histories._answer(histories._next())


async def test_an_answer_of_another_generation_than_when_it_was_asked_for_is_thrown_away(engine: Engine) -> None:
    """It could reach past what the new generation has so far: events that come there would be passed over."""
    subscriber, behind, connection = behind_in_the_first(engine)
    now = Generations(LABEL_2, at(4), ((LABEL, at(4)),))
    await read_histories(engine, subscriber, Shard(now, lambda: engine._sync._act(0, now)))
    assert (behind.positions, connection.text) == ([at(2), at(10)], b"")


async def test_nothing_follows_a_loss_before_the_reset_is_said(engine: Engine) -> None:
    """Else its cursor, past the loss, would be all that a client has if its connection breaks just then."""
    subscriber, behind, connection = behind_in_the_first(engine)
    other = Generations(LABEL_2, at(4), ((LABEL, at(4)),))

    def lose_and_beat() -> None:
        engine._sync._act(1, other)
        assert behind.reset
        engine._heartbeats._beat([subscriber])

    await read_histories(engine, subscriber, Shard(Generations(LABEL, at(10)), lose_and_beat))
    (first, *_) = connection.text.decode().split("\n\n")
    assert "event: reset" in first


async def test_who_leaves_while_histories_are_read_takes_nothing_from_others(engine: Engine) -> None:
    (gone, _, unwritten), (other, behind, connection) = behind_in_the_first(engine), behind_in_the_first(engine)

    def leave() -> None:
        engine._hub.remove(gone)
        gone.connection = None

    histories = engine._catch_up._histories[0]
    histories.ask(gone, cast("Behind", gone.behind))
    shard = Shard(Generations(LABEL, at(10)), leave)
    await read_histories(engine, other, shard)
    assert (shard.reads, unwritten.text, connection.text.count(b"event: message")) == (1, b"", 1)
    assert (other.behind, behind.positions, histories._next()) == (None, [at(10), at(10)], [])


async def test_who_could_not_be_read_for_asks_again(engine: Engine) -> None:
    def break_off() -> None:
        raise ConnectionError

    subscriber, behind, connection = behind_in_the_first(engine)
    await read_histories(engine, subscriber, Shard(Generations(LABEL, at(10)), break_off))
    assert (behind.positions, behind.reading, connection.text) == ([at(2), at(10)], False, b"")
    engine._core.logs[0] = cast("LogReader", Shard(Generations(LABEL, at(10)), lambda: None))
    engine._stall_watch._look_at(subscriber, behind, 0)
    histories = engine._catch_up._histories[0]
    await histories._answer(histories._next())
    assert connection.text.count(b"event: message") == 1


async def test_what_is_framed_for_slow_clients_is_bounded(engine: Engine) -> None:
    tail = engine._core.tails[0]
    page = Page.of([entry(number, A, size=100_000) for number in range(11, 111)])
    tail.take(page, at(110))
    for start in range(10, 60):
        subscriber, connection = Subscriber("c", (A, B), 0, Behind([at(start), at(10)])), Written(takes=1)
        subscriber.connection = connection
        engine._catch_up.serve(subscriber)
        assert subscriber.behind
        assert subscriber.behind.positions == [at(start + 1), at(10)]
    kept = sum([len(piece.data) for pieces in engine._catch_up._made.values() for piece in pieces])
    assert kept < 5_000_000  # of 500 MB that all of them wait for


async def test_rewinds_leave_connections_to_redis_for_others(engine: Engine) -> None:
    """A pool of redis-py's refuses who comes when all of its connections are in use."""
    engine._core.logs[:] = [cast("LogReader", busy := Busy())] * 2
    rooms = [f"room:{number}" for number in range(100)]
    await asyncio.gather(*[engine._starter.begin(StreamRequest("c", (room,), rewind=1)) for room in rooms])
    assert busy.most == AT_ONCE


async def test_rewinds_that_wait_their_turn_do_not_ask_a_redis_that_went(engine: Engine) -> None:
    """One that is silent takes seconds to be given up."""
    engine._core.logs[:] = [cast("LogReader", Busy(lambda: engine._sync.away.update((0, 1))))] * 2
    begins = [engine._starter.begin(StreamRequest("c", (f"room:{number}",), rewind=1)) for number in range(20)]
    begun = await asyncio.gather(*begins, return_exceptions=True)
    assert [type(each) for each in begun] == [Behind] * AT_ONCE + [BusyError] * (20 - AT_ONCE)
