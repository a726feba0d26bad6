"""Keeping up with the generations: what Redis says of each shard, and what follows for tails and subscribers."""

import asyncio
import logging
from collections.abc import Callable

from tailrace.edge._context import Core
from tailrace.edge.streams._hub import Hub
from tailrace.events import Generations
from tailrace.wire import format_id

logger = logging.getLogger(__name__)
LOST = "Redis lost events that this cursor had seen"


class Sync:
    """Asks Redis for generations; all who ask at the same time share one answer."""

    def __init__(self, core: Core, hub: Hub) -> None:
        self.away: set[int] = set()
        """Shards that can't be read just now."""
        self.refused = ""
        """Why, where their Redis answers with an error."""
        self.on_new_generation: Callable[[], None] = lambda: None
        self._tails, self._logs, self._hub = core.tails, core.logs, hub
        self._locks = [asyncio.Lock() for _ in self._tails]
        self._started = [0 for _ in self._tails]
        self._answers: list[Generations | None] = [None for _ in self._tails]

    async def look(self, shard: int) -> Generations:
        """Return a shard's generations as they are after this call began, and act on them. Raises redis.RedisError."""
        asked = self._started[shard]
        async with self._locks[shard]:
            known = self._answers[shard]
            if self._started[shard] > asked and known is not None:
                return known
            self._started[shard] += 1
            self._answers[shard] = None
            answer = await self._logs[shard].sync()
            self._answers[shard] = answer
            self._act(shard, answer)
            return answer

    async def look_at_all(self) -> None:
        for shard in range(len(self._tails)):
            await self.look(shard)

    def _act(self, shard: int, generations: Generations) -> None:
        tail, hub = self._tails[shard], self._hub
        if generations.label == tail.label:
            tail.adopt(generations)
            return
        if tail.position > generations.survived(tail.label):
            for subscriber in hub.live():
                hub.put_behind(subscriber, hub.position_of(subscriber))
        former, at = tail.label, tail.position
        survived = tail.adopt(generations)
        if tail.position != at:
            logger.warning("shard %d lost events: read up to %s, going on at %s", shard, format_id(at), format_id(tail.position))
        logger.info("shard %d goes from generation %s to %s", shard, former, tail.label)
        for subscriber in list(hub.behind):
            behind = subscriber.behind
            if behind is None:
                continue
            behind.end_rewind(shard, len(self._tails))
            if behind.positions[shard] > survived:
                behind.positions[shard], behind.reset = tail.position, LOST
        self.on_new_generation()
