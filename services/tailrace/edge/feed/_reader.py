"""The reader: a connection of its own tails one Redis' shards, and hands what comes to the hub."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from redis import RedisError
from redis.asyncio import Redis

from tailrace.edge._context import Core
from tailrace.edge.streams._generations import Sync
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._replay import CatchUp
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.edge.window._segment import Page
from tailrace.events import Follower, RawEntry, follow
from tailrace.redis import disconnect, refusal, server_id, trouble
from tailrace.wire import parse_id

logger = logging.getLogger(__name__)
BLOCK_S = 1.0
_MOST = 512
_GATHER_S = 0.002
"""The least time from a reply to the next question where replies are many: an event brings along what comes meanwhile.

To ask costs more than to write to one client, so 1,000 events a second cost half as much; one that comes alone never waits,
nor is the loop woken once more for the sake of the one after it. Where a reply is full there is more already.
"""
_MANY_S = 2 * _GATHER_S
"""Replies are many if they come closer together than this."""
_FAR = (1 << 128) - 1  # the last id that there can be
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)


class Reader:
    """Follows logs from their tails' positions, through losses of Redis too.

    `turn` is what all readers of an edge share: the hub takes one batch at a time.
    """

    def __init__(self, core: Core, redis: Redis, shards: Sequence[int], engine: tuple[Hub, CatchUp, Sync], turn: asyncio.Lock) -> None:
        self.shards, self.key = shards, core.keys.log(shards[0])
        self.server = ""
        """Names the Redis process that is read: the one that has `key`."""
        self.name = "Redis" if len(shards) == len(core.tails) else f"the Redis of shard {shards[0]}"
        self._redis, self._keys, self._tails, self._meter = redis, core.keys, core.tails, core.meter
        self._hub, self._catch_up, self._sync = engine
        self._turn = turn
        self._confirmed: dict[int, tuple[str, int]] = {}
        """Generation and position that Redis confirmed, after a reply that didn't fit, before it was asked again."""
        self._doubt: Exception | None = None
        self._follower = Follower(redis, core.keys, shards, block_s=BLOCK_S, most=_MOST)
        self._asked: dict[int, tuple[str, int]] = {}
        """Generation and position from which Redis was asked for more."""
        self._replied = 0.0
        """When the last reply came, on the monotonic clock."""

    async def run(self) -> None:
        """Read for ever."""
        failures = 0
        while True:
            try:
                await self._begin()
                failures = 0
                if self._doubt:
                    raise self._doubt
                await self._follower.run(self._positions(), self._take)
            except (RedisError, OSError) as error:
                self._note_away(self._doubt or error)
                self._doubt = None
                await disconnect(self._redis)
                await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1

    async def doubt(self, error: Exception) -> None:
        """Begin again on a new connection: what was seen elsewhere says that this one leads nowhere."""
        self._doubt = error
        await disconnect(self._redis)

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _begin(self) -> None:
        """See that the logs can be read, for a Redis that answers may still refuse that, and what became of them."""
        await follow(self._redis, self._keys, dict.fromkeys(self.shards, _FAR), 1, 1)
        self.server = await server_id(self._redis, self.key)
        self._confirmed.clear()
        for shard in self.shards:
            await self._sync.look(shard)
        if self._sync.away.intersection(self.shards):
            logger.info("%s is back", self.name)
            self._sync.away.difference_update(self.shards)
            self._sync.refused = ""
            self._catch_up.serve_all()

    def _note_away(self, error: Exception) -> None:
        refused = refusal(error)
        reason, before = refused.meaning if refused else "", self._sync.refused
        new = not self._sync.away.issuperset(self.shards)
        self._sync.refused = reason
        if new or reason != before:
            logger.warning("%s: streams stay open and go on when that is over", trouble(error, self.name))
        if new:
            self._sync.away.update(self.shards)
            self._meter.away += 1

    async def _confirm(self, shards: Sequence[int]) -> None:
        for shard in shards:
            await self._sync.look(shard)
            self._confirmed[shard] = self._place(shard)

    def _place(self, shard: int) -> tuple[str, int]:
        return self._tails[shard].label, self._tails[shard].seen

    def _positions(self) -> dict[int, int]:
        self._asked = {shard: self._place(shard) for shard in self.shards}
        return {shard: seen for shard, (_, seen) in self._asked.items()}

    async def _take(self, reply: Mapping[int, Sequence[RawEntry]]) -> dict[int, int]:
        """Take a reply if it fits, and return from where to go on."""
        last, self._replied = self._replied, time.monotonic()
        async with self._turn:
            found = {shard: Page.read(raw) for shard, raw in reply.items()}
            doubtful = [shard for shard, page in found.items() if not self._fits(shard, page)]
            if reply and not doubtful:
                await self._deliver(reply, found)
        if doubtful:
            await asyncio.sleep(0)  # Redis is asked within timeouts, which want a task to be in
            await self._confirm(doubtful)
        if self._replied - last < _MANY_S and not any(len(raw) == _MOST for raw in reply.values()):
            await asyncio.sleep(self._replied + _GATHER_S - time.monotonic())
        return self._positions()

    def _fits(self, shard: int, page: Page) -> bool:
        """Say whether a reply may be taken: it continues, or doesn't a second time.

        What was confirmed long ago doesn't count: there may have been a failover since, and entries of a generation that isn't known here.
        """
        place = self._asked[shard]
        if self._place(shard) != place:
            return False
        return self._tails[shard].continues(page) or self._confirmed.get(shard) == place

    async def _deliver(self, reply: Mapping[int, Sequence[RawEntry]], found: dict[int, Page]) -> None:
        before = self._hub.position
        fallen: set[Subscriber] = set()
        for shard, page in found.items():
            tail = self._tails[shard]
            self._meter.events += len(page)
            self._meter.foreign += len(reply[shard]) - len(page)
            if tail.fell_off(page):
                logger.warning("shard %d was trimmed past this reader: subscribers go on from histories", shard)
                fallen |= self._hub.live()
                for subscriber in self._hub.live():
                    self._hub.put_behind(subscriber, before)
            tail.take(page, parse_id(reply[shard][-1][0]))
            self._confirmed.pop(shard, None)
        await self._hub.deliver(list(found.items()), before)
        for subscriber in fallen:
            self._catch_up.serve(subscriber)
        self._catch_up.serve_ahead()
