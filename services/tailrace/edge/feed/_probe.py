"""The probe: sees whether a reader still reads what is written, where a connection alone can't tell."""

import asyncio
import logging

from redis import RedisError
from redis.asyncio import Redis

from tailrace.edge._context import Core
from tailrace.edge.feed._reader import Reader
from tailrace.edge.streams._generations import Sync
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._replay import CatchUp
from tailrace.redis import connect, disconnect, server_id

logger = logging.getLogger(__name__)
PROBE_S = 1.5
"""With what a command may take, that is under 5 s from a fault to `/readyz`."""


class Probe:
    """Looks at one reader's Redis now and then: at the generations, and from a connection that is new each time.

    A generation's script is refused by a replica, and its answer says how far the log has come. A new connection leads to
    another server where an address has moved, or Sentinels know of another primary, while the old one still answers.
    """

    def __init__(self, core: Core, reader: Reader, engine: tuple[Hub, CatchUp, Sync], redis: Redis) -> None:
        """`redis` serves the edge's other commands."""
        self._tails, self._logs, self._reader = core.tails, core.logs, reader
        self._hub, self._catch_up, self._sync = engine
        self._redis, self._fresh = redis, connect(core.config.redis, timeout_s=PROBE_S, connections=1)
        self._stuck: dict[int, int] = {}

    async def run(self, every_s: float) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(every_s)
            if not self._reader.server or self._sync.away.intersection(self._reader.shards):  # it hasn't begun, or says so already
                continue
            try:
                async with asyncio.timeout(2 * PROBE_S):
                    await self._look_at_server()
                    await self._look_at_logs()
            except (RedisError, OSError) as error:  # TimeoutError is an OSError
                await self._reader.doubt(error if str(error) else TimeoutError("no answer in time"))

    async def aclose(self) -> None:
        await self._fresh.aclose()

    async def _look_at_server(self) -> None:
        await disconnect(self._fresh)
        if await server_id(self._fresh, self._reader.key) != self._reader.server:
            logger.warning("%s is another server now: connecting anew", self._reader.name)
            await disconnect(self._redis)
            await self._reader.doubt(ConnectionError("it is another server now"))

    async def _look_at_logs(self) -> None:
        tops = {shard: (await self._sync.look(shard)).top for shard in self._reader.shards}
        late = {shard: self._tails[shard].seen for shard in tops if tops[shard] > self._tails[shard].seen}
        for shard, seen in late.items():
            if self._stuck.get(shard) == seen:
                await self._unstick(shard, tops[shard])
        self._stuck = late

    async def _unstick(self, shard: int, top: int) -> None:
        newest = await self._logs[shard].newest(1)
        tail = self._tails[shard]
        if newest and newest[-1].id > tail.seen:
            logger.warning("the logs move, but their reader doesn't: connecting anew")
            await self._reader.doubt(ConnectionError("the logs move, but their reader doesn't"))
        elif tail.seen < top:
            logger.warning("shard %d was trimmed past this reader, all of it: going on at its end", shard)
            for subscriber in self._hub.live():
                self._hub.put_behind(subscriber, self._hub.position_of(subscriber))
            tail.skip_to(top)
            self._catch_up.serve_all()
