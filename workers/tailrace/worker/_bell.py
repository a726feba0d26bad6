"""A bell: producers ring it after they enqueue, and one worker wakes."""

import asyncio
from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis

LONGEST_S = 5.0


class Bell:
    """Waits for rings.

    One blocking request is always open, and timeouts are handled here: an idle Redis checks only ten times a second whether a blocked
    command has timed out.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        """`redis` is a client of the bell's own, with a timeout above `LONGEST_S`."""
        self._redis, self._key = redis, key
        self._ring: asyncio.Task[list[object]] | None = None
        self._void = False

    async def wait(self, seconds: float, then: Sequence[object] = ()) -> object:
        """Wait for a ring; return the answer to the command `then`, or None after `seconds`. Raises redis.RedisError.

        Redis runs the command as the bell rings, or after `LONGEST_S`, so it costs no round trip.
        A request that is open already is waited for.
        """
        ring = self._ring = self._ring or asyncio.create_task(self._next(then))
        await asyncio.wait([ring], timeout=seconds)
        if not ring.done():
            return None
        self._ring, void = None, self._void
        self._void = False
        _, *answers = ring.result()
        return answers[0] if answers and not void else None

    def void(self) -> None:
        """Drop the answer to the open request, if there is one: its command is out of date."""
        self._void = self._ring is not None

    async def _next(self, then: Sequence[object]) -> list[object]:
        pipe = self._redis.pipeline(transaction=False)
        pipe.blpop([self._key], timeout=cast("int", LONGEST_S))
        if then:
            pipe.execute_command(*then)
        return await pipe.execute()

    async def leave(self) -> None:
        """Stop listening: rings are for other workers."""
        if self._ring:
            self._ring.cancel()
            await asyncio.gather(self._ring, return_exceptions=True)
            self._ring = None
        self._void = False
