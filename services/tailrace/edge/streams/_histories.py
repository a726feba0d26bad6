"""Histories: read for all who need them at the same time, in rounds."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from redis import RedisError

from tailrace.edge._context import Core
from tailrace.edge.streams._generations import Sync
from tailrace.edge.streams._resume import Move, Replay, replay
from tailrace.edge.streams._round import Question, Round
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.events import ChannelHistory

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
