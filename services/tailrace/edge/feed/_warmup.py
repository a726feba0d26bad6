"""Warming up: what has to be there of Redis before an edge lets anybody in."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from redis import RedisError
from redis.asyncio import Redis

from tailrace.edge._config import EdgeConfig
from tailrace.edge._context import Core
from tailrace.edge.feed._reader import Reader
from tailrace.edge.streams._generations import Sync
from tailrace.edge.window._tail import Tail
from tailrace.events import LogReader
from tailrace.redis import check_layout, check_server, redact, refusal, trouble
from tailrace.wire import Entry

logger = logging.getLogger(__name__)
_PAUSE_S = 0.5
_PAGE = 500


class WarmUp:
    """Waits for all shards, and fills their rings."""

    def __init__(self, core: Core, sync: Sync, redis: Redis, readers: Sequence[Reader]) -> None:
        self._core, self._sync, self._redis, self._readers = core, sync, redis, readers
        self.layout_away = False
        """Whether all shards were there but not what says how many there are, which on a Cluster another server may have."""

    async def run(self, partly: Callable[[], None]) -> None:
        """Wait until the rings are warm. `partly` is called meanwhile if some of Redis is there and some isn't.

        Raises SetupError: Redis or a setting is not as it has to be.
        """
        config, said = self._core.config, None
        while True:
            try:
                await self._look_for_servers()
                await self._check_layout()
                for log, tail in zip(self._core.logs, self._core.tails, strict=True):
                    await warm(log, tail, config)
            except (RedisError, OSError) as error:
                refused = refusal(error)
                reason = self._sync.refused = refused.meaning if refused else ""
                if reason != said:
                    logger.warning("waiting for Redis at %s: %s", redact(config.redis), trouble(error))
                said = reason
                if self.layout_away or 0 < len(self._sync.away) < config.shards:
                    partly()
                await asyncio.sleep(_PAUSE_S)
            else:
                self._sync.refused = ""
                return

    async def _look_for_servers(self) -> None:
        """Note the shards whose servers are away, and raise what is the matter with one of them."""
        trouble: Exception | None = None
        for reader in self._readers:
            try:
                await check_server(self._redis, reader.key)
            except (RedisError, OSError) as error:
                self._sync.away.update(reader.shards)
                trouble = error
            else:
                self._sync.away.difference_update(reader.shards)
        if trouble:
            raise trouble

    async def _check_layout(self) -> None:
        try:
            await check_layout(self._redis, self._core.keys, self._core.config.shards)
        except (RedisError, OSError):
            self.layout_away = True
            raise
        self.layout_away = False


async def warm(log: LogReader, tail: Tail, config: EdgeConfig) -> None:
    """Fill a shard's ring with its log's newest entries. Raises redis.RedisError."""
    generations = await log.sync()
    entries: list[Entry] = []
    size, before = 0, None
    while len(entries) < config.ring_entries and size < config.ring_bytes:
        page = await log.newest(_PAGE, before=before)
        entries[:0] = page
        size += sum([len(entry.block) for entry in page])
        if len(page) < _PAGE:
            break
        before = page[0].id
    tail.begin(generations, entries)
