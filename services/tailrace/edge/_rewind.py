"""Rewinds: where the last events of channels begin, read once for all who ask the same at the same time."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tailrace.log import LogReader
from tailrace.wire import bucket

AT_ONCE = 8
"""Histories that are read at the same time: a client of Redis has so many connections and no more."""
_Question = tuple[str, int]
_Answer = asyncio.Task[int | None]


class Rewinds:
    """Asks Redis for the beginnings of histories' ends."""

    def __init__(self, logs: Sequence[LogReader], need_redis: Callable[[Iterable[int]], None]) -> None:
        """`need_redis` raises what is said while one of some shards is away."""
        self._logs, self._need_redis = logs, need_redis
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._to_be_asked: dict[_Question, _Answer] = {}

    async def first(self, channel: str, most: int) -> int | None:
        """Return the id of the first of a channel's last `most` events as they are after this call began; None where there are none.

        Raises redis.RedisError, and what `need_redis` raises.
        """
        question = channel, most
        answer = self._to_be_asked.get(question)
        if answer is None:
            answer = self._to_be_asked[question] = asyncio.create_task(self._ask(question))
            answer.add_done_callback(_look_at)
        return await asyncio.shield(answer)  # one that leaves takes it from nobody

    async def _ask(self, question: _Question) -> int | None:
        channel, most = question
        async with self._turn:
            del self._to_be_asked[question]  # who comes from now on may want more than this will hold
            shard = bucket(channel, len(self._logs))
            self._need_redis([shard])  # who waited its turn doesn't wait once more for a Redis that is silent
            newest = await self._logs[shard].newest(most, channel)
        return newest[0].id if newest else None


def _look_at(answer: _Answer) -> None:
    """See a failure, which asyncio would complain of where all who asked have left."""
    if not answer.cancelled():
        answer.exception()
