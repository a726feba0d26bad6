"""The reader: one connection of its own tails all shards, and hands what comes to the hub."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from redis import RedisError
from redis.asyncio import Redis

from tailrace.edge._catchup import CatchUp
from tailrace.edge._core import Core
from tailrace.edge._hub import Hub
from tailrace.edge._subscriber import Subscriber
from tailrace.edge._sync import Sync
from tailrace.edge._tail import Tail
from tailrace.log import RawEntry, follow, whole_entries
from tailrace.wire import Entry, parse_id

logger = logging.getLogger(__name__)
BLOCK_S = 1.0
_MOST = 512
_FAR = (1 << 128) - 1  # the last id that there can be
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)


class Reader:
    """Follows the logs from the tails' positions, through losses of Redis too."""

    def __init__(self, core: Core, redis: Redis, hub: Hub, catch_up: CatchUp, sync: Sync) -> None:
        self._redis, self._keys, self._tails, self._meter = redis, core.keys, core.tails, core.meter
        self._logs = core.logs
        self._hub, self._catch_up, self._sync = hub, catch_up, sync
        self._confirmed: dict[int, tuple[str, int]] = {}
        """Generation and position that Redis confirmed for a shard before it was asked for more."""
        self.on_return: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Read for ever."""
        failures = 0
        while True:
            try:
                await self._try()
                await self._confirm(range(len(self._tails)))
                if self._sync.away:
                    logger.info("Redis is back")
                    self._sync.away = False
                    self._catch_up.serve_all()
                    self.on_return()
                failures = 0
                while True:
                    await self._read()
            except (RedisError, OSError) as error:
                if not self._sync.away:
                    logger.warning("Redis is away (%s): streams stay open and go on when it is back", error)
                    self._sync.away = True
                    self._meter.away += 1
                await self._redis.connection_pool.disconnect()
                await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
                failures += 1

    async def probe(self, every_s: float) -> None:
        """Look at the generations now and then, and that the reader moves when the logs do."""
        stuck: dict[int, int] = {}
        while True:
            await asyncio.sleep(every_s)
            if self._sync.away:
                continue
            try:
                tops = {shard: (await self._sync.look(shard)).top for shard in range(len(self._tails))}
                late = {shard: tail.seen for shard, tail in enumerate(self._tails) if tops[shard] > tail.seen}
                for shard, seen in late.items():
                    if stuck.get(shard) == seen:
                        await self._unstick(shard, tops[shard])
                stuck = late
            except (RedisError, OSError) as error:
                logger.warning("can't look at the generations: %s", error)

    async def _unstick(self, shard: int, top: int) -> None:
        newest = await self._logs[shard].newest(1)
        tail = self._tails[shard]
        if newest and newest[-1].id > tail.seen:
            logger.warning("the logs move, but their reader doesn't: connecting anew")
            await self._redis.connection_pool.disconnect()
        elif tail.seen < top:
            logger.warning("shard %d was trimmed past this reader, all of it: going on at its end", shard)
            for subscriber in self._hub.live():
                self._hub.put_behind(subscriber, self._hub.position_of(subscriber))
            tail.skip_to(top)
            self._catch_up.serve_all()

    async def _confirm(self, shards: Iterable[int]) -> None:
        for shard in shards:
            await self._sync.look(shard)
            self._confirmed[shard] = self._place(shard)

    def _place(self, shard: int) -> tuple[str, int]:
        return self._tails[shard].label, self._tails[shard].seen

    async def _try(self) -> None:
        """See that the logs can be read, for a Redis that answers may still refuse that."""
        await follow(self._redis, self._keys, dict.fromkeys(range(len(self._tails)), _FAR), 1, 1)

    async def _read(self) -> None:
        places = [self._place(shard) for shard in range(len(self._tails))]
        asked = {shard: seen for shard, (_, seen) in enumerate(places)}
        reply = await follow(self._redis, self._keys, asked, round(BLOCK_S * 1000), _MOST)
        found = {shard: whole_entries(raw) for shard, raw in reply.items()}
        doubtful = [shard for shard, entries in found.items() if not self._fits(shard, places[shard], entries)]
        if doubtful:
            await self._confirm(doubtful)
        elif reply:
            await self._take(reply, found)

    def _fits(self, shard: int, place: tuple[str, int], entries: Sequence[Entry]) -> bool:
        """Say whether a reply may be taken: it continues, or Redis confirmed the place before it was asked for."""
        if self._place(shard) != place:
            return False
        return not entries or self._tails[shard].continues(entries) or self._confirmed.get(shard) == place

    async def _take(self, reply: Mapping[int, Sequence[RawEntry]], found: dict[int, list[Entry]]) -> None:
        before = self._hub.position
        fallen: set[Subscriber] = set()
        for shard, entries in found.items():
            tail = self._tails[shard]
            self._meter.events += len(entries)
            self._meter.foreign += len(reply[shard]) - len(entries)
            if self._fell(tail, entries):
                logger.warning("shard %d was trimmed past this reader: subscribers go on from histories", shard)
                fallen |= self._hub.live()
                for subscriber in self._hub.live():
                    self._hub.put_behind(subscriber, before)
            tail.take(entries, parse_id(reply[shard][-1][0]))
            self._confirmed.pop(shard, None)
        await self._hub.deliver(list(found.items()), before)
        for subscriber in fallen:
            self._catch_up.serve(subscriber)
        self._catch_up.serve_ahead()

    @staticmethod
    def _fell(tail: Tail, entries: Sequence[Entry]) -> bool:
        return bool(entries) and entries[0].log_before not in (tail.position, tail.seen)
