"""Rewinds: where the last events of channels begin, read once for all who ask the same at the same time.

"The last" are those up to where the reader was when the stream began. A stream that breaks off while it is being rewound is
resumed with the same ends (see `Rewind` in `_frames`), so the same events are owed. What a history has trimmed
meanwhile becomes a gap: a channel of which fewer than the wanted events are left is read from the oldest that any channel
was owed, and the ordinary rule finds what is missing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tailrace.edge.streams._frames import Rewind
from tailrace.edge.streams._subscriber import Behind
from tailrace.events import LogReader
from tailrace.wire import RewindMark, bucket, id_at, id_parts

AT_ONCE = 8
"""Histories that are read at the same time: a client of Redis has so many connections and no more."""
_Question = tuple[str, int, int]


class LastEvents(NamedTuple):
    """The last events of a channel up to some id."""

    start: int | None
    """The id of the first of them; None where there are none."""
    complete: bool
    """Whether these are as many as were asked for."""


class _Answer:
    """What Redis answers to a question, and how many clients wait for it."""

    def __init__(self, task: asyncio.Task[LastEvents]) -> None:
        self.task, self.waiting = task, 0
        task.add_done_callback(_look_at)


class Rewinds:
    """Asks Redis for the beginnings of histories' ends."""

    def __init__(self, logs: Sequence[LogReader], need_redis: Callable[[Iterable[int]], None]) -> None:
        """`need_redis` raises what is said while one of some shards is away."""
        self._logs, self._need_redis = logs, need_redis
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._to_be_asked: dict[_Question, _Answer] = {}

    async def last(self, channel: str, most: int, end: int) -> LastEvents:
        """Find a channel's last `most` events up to the id `end`, in its history as it is after this call began.

        A question that nobody waits for any more isn't asked. Raises redis.RedisError, and what `need_redis` raises.
        """
        question = channel, most, end
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

    async def _ask(self, question: _Question) -> LastEvents:
        channel, most, end = question
        async with self._turn:
            del self._to_be_asked[question]  # who comes from now on may want more than this will hold
            shard = bucket(channel, len(self._logs))
            self._need_redis([shard])  # who waited its turn doesn't wait once more for a Redis that is silent
            return LastEvents(*await self._logs[shard].first_of_last(most, channel, end))


def begin_rewind(behind: Behind, most: int, ends: Sequence[int], found: Mapping[str, LastEvents]) -> None:
    """Have a new stream begin with what was found of each channel; its positions are the `ends`."""
    firsts = dict[int, int]()
    for channel, (start, _) in found.items():
        shard = bucket(channel, len(ends))
        behind.starts[channel] = first = ends[shard] + 1 if start is None else start
        behind.excused[channel] = first - 1
        if start is not None:
            firsts[shard] = min(start, firsts.get(shard, start))
    if firsts:
        for shard, first in firsts.items():
            behind.positions[shard] = _before(id_parts(first)[0])
        since_ms = min([id_parts(first)[0] for first in firsts.values()])
        behind.rewind = Rewind(most, since_ms, ends, behind.positions)


def resume_rewind(behind: Behind, mark: RewindMark, ends: Sequence[int], found: Mapping[str, LastEvents]) -> None:
    """Have a resumed stream go on with a rewind; `ends` is -1 for shards in which it is over, `found` what the others' channels have."""
    floors = [-1 for _ in ends]
    for shard in {bucket(channel, len(ends)) for channel in found}:
        if shard == mark.shard and mark.reached is not None:
            behind.positions[shard] = min(mark.reached, ends[shard])
        else:
            behind.positions[shard] = floors[shard] = min(_before(mark.since_ms), ends[shard])
    for channel, (start, complete) in found.items():
        if start is not None and complete:
            behind.starts[channel], behind.excused[channel] = start, start - 1
    behind.rewind = Rewind(mark.most, mark.since_ms, ends, floors)


def _before(ms: int) -> int:
    """Return a position before all ids of a millisecond, which a cursor can hold in few characters."""
    return id_at(max(0, ms - 1))


def _look_at(answer: asyncio.Task[LastEvents]) -> None:
    """See a failure, which asyncio would complain of where all who asked have left."""
    if not answer.cancelled():
        answer.exception()
