"""Rewinds: where the last events of channels begin, read once for all who ask the same at the same time."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tailrace.log import LogReader
from tailrace.wire import bucket

AT_ONCE = 8
"""Histories that are read at the same time: a client of Redis has so many connections and no more."""
_Question = tuple[str, int]


class _Answer:
    """What Redis answers to a question, and how many clients wait for it."""

    def __init__(self, task: asyncio.Task[int | None]) -> None:
        self.task, self.waiting = task, 0
        task.add_done_callback(_look_at)


class Rewinds:
    """Asks Redis for the beginnings of histories' ends."""

    def __init__(self, logs: Sequence[LogReader], need_redis: Callable[[Iterable[int]], None]) -> None:
        """`need_redis` raises what is said while one of some shards is away."""
        self._logs, self._need_redis = logs, need_redis
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._to_be_asked: dict[_Question, _Answer] = {}

    async def first(self, channel: str, most: int) -> int | None:
        """Return the id of the first of a channel's last `most` events as they are after this call began; None where there are none.

        A question that nobody waits for any more isn't asked. Raises redis.RedisError, and what `need_redis` raises.
        """
        question = channel, most
        answer = self._to_be_asked.get(question)
        if answer is None:
            answer = self._to_be_asked[question] = _Answer(asyncio.create_task(self._ask(question)))
        answer.waiting += 1
        try:
            return await asyncio.shield(answer.task)  # a client that leaves takes it from no other
        finally:
            answer.waiting -= 1
            if not answer.waiting and self._to_be_asked.get(question) is answer:
                del self._to_be_asked[question]
                answer.task.cancel()

    async def _ask(self, question: _Question) -> int | None:
        channel, most = question
        async with self._turn:
            del self._to_be_asked[question]  # who comes from now on may want more than this will hold
            shard = bucket(channel, len(self._logs))
            self._need_redis([shard])  # who waited its turn doesn't wait once more for a Redis that is silent
            return await self._logs[shard].first_of_newest(most, channel)


def _look_at(answer: asyncio.Task[int | None]) -> None:
    """See a failure, which asyncio would complain of where all who asked have left."""
    if not answer.cancelled():
        answer.exception()
