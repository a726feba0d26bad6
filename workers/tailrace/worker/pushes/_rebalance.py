"""Balances partitions among workers: the least loaded worker asks for one, and a worker that holds at least two more releases one."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis

from tailrace.wire import Keys
from tailrace.worker._retry import REDIS_ERRORS, raise_if_cancelled

_LOOK_EVERY_S = 0.5
_WISH_MS = 1500


class Rebalancer:
    """The queues that one worker holds."""

    def __init__(self, redis: Redis, keys: Keys, worker: str, stopping: asyncio.Event) -> None:
        self._redis, self._key, self._worker, self._stopping = redis, keys.wanted(), worker, stopping
        self._held: dict[int, asyncio.Event] = {}

    @contextmanager
    def holding(self, partition: int) -> Iterator[asyncio.Event]:
        """Record that a queue is held while the block runs; the returned event asks to release it."""
        leave = self._held[partition] = asyncio.Event()
        if self._stopping.is_set():
            leave.set()
        try:
            yield leave
        finally:
            del self._held[partition]

    async def stop(self) -> None:
        """Release all queues when `stopping` is set."""
        await self._stopping.wait()
        for leave in self._held.values():
            leave.set()

    async def balance(self) -> None:
        """Compare with the least loaded worker at intervals, until `stopping` is set.

        A stopping worker may still have calls to finish, but wants no queue.
        """
        while not self._stopping.is_set():
            with contextlib.suppress(*REDIS_ERRORS):
                await self._look()
            raise_if_cancelled()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> None:
        held = [leave for leave in self._held.values() if not leave.is_set()]
        wish = await self._redis.get(self._key)
        name, fewest, *_ = wish.decode().split(" ") if wish else (self._worker, "0")
        if name == self._worker or len(held) < int(fewest):
            await self._redis.set(self._key, f"{self._worker} {len(held)}", px=_WISH_MS)
        elif len(held) > int(fewest) + 1:
            held[-1].set()
