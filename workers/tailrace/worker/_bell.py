"""A bell: producers ring it when they have enqueued something, and one worker wakes."""

import asyncio
from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis

LONGEST_S = 5.0


class Bell:
    """Waits for rings.

    One request is on its way all the time, and the waiting is done here: an idle Redis looks only ten times a second at
    whether a blocked command has waited long enough.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        """`redis` is a client that is used for nothing else and waits for more than `LONGEST_S`."""
        self._redis, self._key = redis, key
        self._ring: asyncio.Task[list[object]] | None = None
        self._void = False

    async def wait(self, seconds: float, then: Sequence[object] = ()) -> object:
        """Wait for a ring, but no longer; return what a command answered that goes behind, or None. Raises redis.RedisError.

        Redis runs the command at the ring, or after `LONGEST_S`, so its answer takes no time of its own. What is on its way is waited for.
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
        """Drop the answer to the command that is on its way, if one is: whoever asked didn't know then what is known now."""
        self._void = self._ring is not None

    async def _next(self, then: Sequence[object]) -> list[object]:
        pipe = self._redis.pipeline(transaction=False)
        pipe.blpop([self._key], timeout=cast("int", LONGEST_S))
        if then:
            pipe.execute_command(*then)
        return await pipe.execute()

    async def leave(self) -> None:
        """Listen no more: rings are for others."""
        if self._ring:
            self._ring.cancel()
            await asyncio.gather(self._ring, return_exceptions=True)
            self._ring = None
        self._void = False
