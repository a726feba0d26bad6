"""A bell: producers ring it when they have enqueued something, and one worker wakes."""

import asyncio
from collections.abc import Awaitable
from typing import cast

from redis.asyncio import Redis

LONGEST_S = 5.0


class Bell:
    """Waits for rings.

    One command is on its way all the time, and the waiting is done here: an idle Redis looks only ten times a second at
    whether a blocked command has waited long enough.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        """`redis` is a client that is used for nothing else and waits for more than `LONGEST_S`."""
        self._redis, self._key = redis, key
        self._ring: asyncio.Task[object] | None = None

    async def wait(self, seconds: float) -> None:
        """Wait for a ring, but no longer. Raises redis.RedisError."""
        ring = self._ring = self._ring or asyncio.create_task(self._next())
        await asyncio.wait([ring], timeout=seconds)
        if ring.done():
            self._ring = None
            ring.result()

    async def _next(self) -> object:
        return await cast("Awaitable[object]", self._redis.blpop([self._key], timeout=cast("int", LONGEST_S)))

    async def leave(self) -> None:
        """Listen no more: rings are for others."""
        if self._ring:
            self._ring.cancel()
            await asyncio.gather(self._ring, return_exceptions=True)
            self._ring = None
