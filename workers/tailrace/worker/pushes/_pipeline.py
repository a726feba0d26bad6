"""The pipeline of one epoch: take a batch, classify its jobs, commit their events, finish the batch. Several batches are in flight at once.

Three rules keep events in order and append each once. Each comes with a history that would break without it.

Batches are finished in the order in which they were taken. Batch 1 waits for a slow shard while batch 2 is done. If batch 2 were finished
first and this worker died, its successor would find nothing in the shards' memory after batch 1, and couldn't tell which pushes of
batch 1 were left out.

A job that ends without an append is finished before anything of its batch, or of a later one, is appended. Job 1 has expired, and job 2 is
appended. If the worker died between the two, its successor might count other clients, and append job 1 after job 2.

A successor raises all shards to its epoch before it takes anything. A suspended worker may still have a commit in its socket. Unless the
shard refused the old epoch, that commit would be appended after the successor had found that it wasn't.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, takewhile
from typing import NamedTuple, cast

from tailrace.events import LogWriter, NewEvent, Registry
from tailrace.queue import Answer, Ending, Grant, Queue, Taken
from tailrace.queue._partition import EndedBatch
from tailrace.worker._bell import Bell
from tailrace.worker._commits import commits
from tailrace.worker._receipts import count
from tailrace.worker._retry import REDIS_ERRORS, Retrier, raise_if_cancelled
from tailrace.worker.pushes._batch import Batch, delivered, each_part, events
from tailrace.worker.pushes._classify import Classified, Facts, Sorted, asked, classify_batch, function_of, name, sort
from tailrace.worker.pushes._committer import Sender
from tailrace.worker.pushes._memory import Memory

_log = logging.getLogger(__name__)
_TIDY_EVERY_S = 0.5
_SHORTEST_S = 0.001  # BLPOP waits for ever at 0


class Line(NamedTuple):
    """What the holder of one queue works with."""

    queue: Queue
    writers: Sequence[LogWriter]
    registry: Registry
    bell: Bell
    free: Bell
    """Rung when the lease is released."""
    queue_retrier: Retrier
    log_retrier: Retrier
    window: int = 4
    poll_s: float = 0.02
    lease_s: float = 2.0
    grace_s: float = 3.0
    """How long a stopping holder waits for batches in flight."""


class Hold:
    """One epoch of one holder."""

    def __init__(self, line: Line, grant: Grant, owner: str) -> None:
        self._line, self._queue, self._owner = line, line.queue, owner
        self._epoch, self._left = grant
        self._ahead: asyncio.Task[Answer] | None = None
        self._heard: Answer | None = None
        self._memory = Memory(len(line.writers))
        self._window: deque[Batch] = deque()
        self._committed, self._finished = asyncio.Event(), asyncio.Event()
        place = self._queue.partition, self._epoch
        self._senders = [Sender(writer, place, self._memory, line.log_retrier, self._committed) for writer in line.writers]

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve the queue until `stopping` is set.

        Raises, in a group: DeposedError or RefusedError (another worker holds the queue), or whatever else went wrong.
        """
        async with asyncio.TaskGroup() as tasks:
            feed = tasks.create_task(self._feed(stopping))
            helpers = [tasks.create_task(self._renew()), tasks.create_task(self._tidy()), tasks.create_task(self._finish())]
            helpers += [tasks.create_task(sender.send()) for sender in self._senders for _ in range(sender.at_once)]
            await stopping.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._line.grace_s):
                    await asyncio.wait([feed])
                    await self._shorter(1)
            for task in (feed, *helpers):
                task.cancel()

    async def _take_over(self) -> None:
        for shard, writer in enumerate(self._line.writers):
            ask = partial(writer.raise_epoch, self._queue.partition, self._epoch, self._owner)
            self._memory.inherit(shard, await self._line.log_retrier.run(ask), self._left)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._line.lease_s / 4)
            await self._line.queue_retrier.run(partial(self._queue.renew, self._epoch, self._owner))

    async def _tidy(self) -> None:
        """Free memory at intervals: commits may be waiting for some."""
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            for shard, writer in enumerate(self._line.writers):
                with contextlib.suppress(*REDIS_ERRORS):  # what a shard keeps now, the next holder lets it forget
                    await writer.trim()
                    if not self._window:
                        await writer.forget(self._queue.partition, self._epoch, self._memory.forgettable(shard))
                raise_if_cancelled()

    async def _feed(self, stopping: asyncio.Event) -> None:
        await self._take_over()
        try:
            while self._ahead or self._heard or not stopping.is_set():
                heard, self._heard = self._heard, None
                taken, idle_s = heard or await (self._ahead or self._take())
                self._ahead = None
                if taken:
                    self._line.bell.void()
                    # If more is due, Redis prepares it while this batch is classified.
                    if idle_s == 0 and not taken.deaths and not stopping.is_set():
                        self._ahead = asyncio.create_task(self._take(taken))
                    await self._start(taken)
                    await self._shorter(1 if taken.deaths else self._line.window)
                if not stopping.is_set() and (not taken or (heard and idle_s != 0)):
                    self._heard = await self._listen(idle_s)
        finally:
            if self._ahead:
                self._ahead.cancel()
                await asyncio.gather(self._ahead, return_exceptions=True)

    async def _take(self, *ahead_of: Taken) -> Answer:
        return await self._line.queue_retrier.run(partial(self._queue.take, self._epoch, self._mine(*ahead_of)))

    def _mine(self, *ahead_of: Taken) -> list[str]:
        return [taken.field for taken in (*[batch.taken for batch in self._window], *ahead_of)]

    async def _listen(self, idle_s: float | None) -> Answer | None:
        """Wait for the bell, at most until the next job is due or the next poll for jobs that rang no bell.

        Returns the answer to a take that Redis runs as the bell rings. That answer may come late or never. A batch that nobody received
        stays in flight, and the next take returns it because it isn't named.
        """
        pause = self._line.poll_s if idle_s is None else min(self._line.poll_s, max(idle_s, _SHORTEST_S))
        try:
            reply = await self._line.bell.wait(pause, self._queue.taking(self._epoch, self._mine()))
        except REDIS_ERRORS:
            await asyncio.sleep(pause)
            return None
        return self._queue.taken(cast("Sequence[bytes]", reply)) if reply else None

    async def _start(self, taken: Taken) -> None:
        begun = self._memory.begun
        classify = partial(classify_batch, now_ms=taken.now_ms, deaths=taken.deaths, begun=begun)
        classified = [each for part in await each_part(taken.jobs, lambda job: job.size, classify) for each in part]
        inherited = not taken.field.startswith(f"{self._epoch}.")
        facts = Facts(begun, await self._count(asked(classified, begun)), self._memory.last if inherited else ())
        parts = await each_part(classified, lambda each: each[0].size, partial(self._sort, taken.now_ms, facts))
        endings = [ending for part, _ in parts for ending in part.endings]
        deliveries = [delivery for part, _ in parts for delivery in part.deliveries]
        _log_dead_letters(taken, endings, self._queue.key)
        if endings:  # before anything of this batch, or of a later one, is appended
            await self._end([EndedBatch(taken.field, not deliveries, endings)])
            over = {ending.position for ending in endings}
            self._memory.end([job.ticket for job in taken.jobs if job.position in over])
        if deliveries:
            self._pack(Batch(taken, deliveries), [chain.from_iterable(part) for part in zip(*[new for _, new in parts], strict=True)])

    def _sort(self, now_ms: float, facts: Facts, classified: Classified) -> tuple[Sorted, list[list[NewEvent]]]:
        some = sort(now_ms, classified, facts)
        return some, events(some.deliveries, len(self._line.writers), self._memory.known)

    async def _count(self, channels: Sequence[str]) -> dict[str, int]:
        return await count(self._line.registry, self._line.log_retrier, channels)

    def _pack(self, batch: Batch, by_shard: Iterable[Iterable[NewEvent]]) -> None:
        known = self._memory.known
        self._window.append(batch)
        for delivery in batch.deliveries if known else ():
            for index in self._memory.begun.get(delivery.ticket, ()):
                name = f"{delivery.ticket}:{index}"
                batch.appended[name] = known[name]
        for sender, new in zip(self._senders, by_shard, strict=True):
            for some in commits(list(new)):
                sender.put(some, batch)
        if not batch.unanswered:
            self._committed.set()

    async def _finish(self) -> None:
        """Finish batches in the order in which they were taken.

        A shard then still remembers all jobs after one that hasn't ended, which tells a successor what of that job was left out.
        """
        while True:
            batches = list(takewhile(lambda batch: not batch.unanswered, self._window))
            if not batches:
                await self._committed.wait()
                self._committed.clear()
                continue
            there = await self._count(_asking(batches))
            await self._end([EndedBatch(batch.taken.field, whole=True, endings=_receipts(batch, there)) for batch in batches])
            for batch in batches:
                self._window.popleft()
                self._memory.over(batch.outcomes)
                self._memory.end([delivery.ticket for delivery in batch.deliveries])
            self._finished.set()

    async def _end(self, ended: Iterable[EndedBatch]) -> None:
        await self._line.queue_retrier.run(partial(self._queue.finish, self._epoch, list(ended)))

    async def _shorter(self, length: int) -> None:
        """Wait until fewer than `length` batches are in flight."""
        while len(self._window) >= length:
            self._finished.clear()
            await self._finished.wait()


def _log_dead_letters(taken: Taken, endings: Sequence[Ending], queue: str) -> None:
    """Log the first dead letter of a batch, and how many others there are: a producer's mistake may fill whole batches."""
    dead = [ending for ending in endings if ending.reason]
    if not dead:
        return
    first, more = dead[0], len(dead) - 1
    job = next(job for job in taken.jobs if job.position == first.position)
    fields = {"job": name(job), "function": function_of(job.payload), "queue": queue, "path": first.path, "more": more}
    text = f"dead letter: {fields['function'] or 'job'} (job {fields['job']}, queue {queue})"
    _log.warning("%s: %s (at `%s`)%s", text, first.reason, first.path, f", and {more} more" * bool(more), extra=fields)


def _asking(batches: Iterable[Batch]) -> list[str]:
    return list({push.to for batch in batches for delivery in batch.asking for push in delivery.pushes})


def _receipts(batch: Batch, there: Mapping[str, int]) -> list[Ending]:
    now_ms = int(batch.taken.now_ms)
    return [
        Ending(delivery.position, delivered(delivery, batch.appended, there, now_ms), delivery.listener or "") for delivery in batch.asking
    ]
