"""arq's sign of health: the key that `arq --check` looks at."""

import asyncio
import contextlib
from datetime import datetime

from arq.connections import ArqRedis
from arq.constants import health_check_key_suffix

from tailrace.worker._retry import TROUBLES, heed_cancel
from tailrace.worker.calls._arq_settings import Terms
from tailrace.worker.calls._executor import Calls

_REMOVE_S = 1.0


class Health:
    """Tells in Redis, again and again, that this worker runs calls. Workers of one queue share the key."""

    def __init__(self, redis: ArqRedis, calls: Calls, terms: Terms) -> None:
        self._redis, self._calls, self._every_s = redis, calls, terms.health_check_interval
        self._key, self._written = terms.health_check_key or calls.queue_key + health_check_key_suffix, ""

    async def tell(self) -> None:
        """Write the key until cancelled."""
        while True:
            with contextlib.suppress(*TROUBLES):
                queued = await self._redis.zcard(self._calls.queue_key)
                self._written = f"{datetime.now().astimezone():%b-%d %H:%M:%S} {self._calls.counts} queued={queued}"
                await self._redis.set(self._key, self._written, px=round((self._every_s + 1) * 1000))
            heed_cancel()
            await asyncio.sleep(self._every_s)

    async def remove(self) -> None:
        """Remove the key, as arq does when it ends, unless another worker has written it since."""
        with contextlib.suppress(*TROUBLES, TimeoutError):
            async with asyncio.timeout(_REMOVE_S):
                if await self._redis.get(self._key) == self._written.encode():
                    await self._redis.delete(self._key)
