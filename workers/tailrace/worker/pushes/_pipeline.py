"""What the holder of a queue does under one epoch: take, judge, commit, finish; several batches at once, in order."""

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
from tailrace.queue._partition import Ended
from tailrace.worker._bell import Bell
from tailrace.worker._commits import commits
from tailrace.worker._receipts import count
from tailrace.worker._retry import TROUBLES, Patience, heed_cancel
from tailrace.worker.pushes._batch import Batch, delivered, each_part, events
from tailrace.worker.pushes._classify import Facts, Judged, Sorted, asked, judge_batch, sort
from tailrace.worker.pushes._committer import Sender
from tailrace.worker.pushes._memory import Memory

_log = logging.getLogger(__name__)
_TIDY_EVERY_S = 0.5
_SHORTEST_S = 0.001  # BLPOP waits for ever at 0


class Line(NamedTuple):
    """All that a holder of one queue works with."""

    queue: Queue
    writers: Sequence[LogWriter]
    registry: Registry
    bell: Bell
    free: Bell
    """Rung when the lease is given up."""
    queue_patience: Patience
    log_patience: Patience
    window: int = 4
    poll_s: float = 0.02
    lease_s: float = 2.0
    grace_s: float = 3.0
    """How long a stopping holder waits for what is in flight."""


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
        self._senders = [Sender(writer, place, self._memory, line.log_patience, self._committed) for writer in line.writers]

    async def run(self, stopping: asyncio.Event) -> None:
        """Hold the queue until it is time to stop.

        Raises, in a group: DeposedError or RefusedError (somebody else holds it), or what else went wrong.
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
            self._memory.inherit(shard, await self._line.log_patience.ask(ask), self._left)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._line.lease_s / 4)
            await self._line.queue_patience.ask(partial(self._queue.renew, self._epoch, self._owner))

    async def _tidy(self) -> None:
        """Do again and again what frees memory; commits may be waiting for some."""
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            for shard, writer in enumerate(self._line.writers):
                with contextlib.suppress(*TROUBLES):  # what it keeps now, the next holder lets it forget
                    await writer.trim()
                    if not self._window:
                        await writer.forget(self._queue.partition, self._epoch, self._memory.forgettable(shard))
                heed_cancel()

    async def _feed(self, stopping: asyncio.Event) -> None:
        await self._take_over()
        try:
            while self._ahead or self._heard or not stopping.is_set():
                heard, self._heard = self._heard, None
                taken, idle_s = heard or await (self._ahead or self._take())
                self._ahead = None
                if taken:
                    self._line.bell.void()
                    # Where there is more, Redis gets it ready while this batch is judged.
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
        return await self._line.queue_patience.ask(partial(self._queue.take, self._epoch, self._mine(*ahead_of)))

    def _mine(self, *ahead_of: Taken) -> list[str]:
        return [taken.field for taken in (*[batch.taken for batch in self._window], *ahead_of)]

    async def _listen(self, idle_s: float | None) -> Answer | None:
        """Wait for the bell, but no longer than to the next job that is due or may have come in without ringing.

        Return what a take brought at the ring. It is one more request that may be answered late or never: what it gives out to nobody
        is still in hand, and unnamed by the next.
        """
        pause = self._line.poll_s if idle_s is None else min(self._line.poll_s, max(idle_s, _SHORTEST_S))
        try:
            reply = await self._line.bell.wait(pause, self._queue.taking(self._epoch, self._mine()))
        except TROUBLES:
            await asyncio.sleep(pause)
            return None
        return self._queue.taken(cast("Sequence[bytes]", reply)) if reply else None

    async def _start(self, taken: Taken) -> None:
        begun = self._memory.begun
        judge = partial(judge_batch, now_ms=taken.now_ms, deaths=taken.deaths, begun=begun)
        judged = [each for part in await each_part(taken.jobs, lambda job: job.size, judge) for each in part]
        inherited = not taken.field.startswith(f"{self._epoch}.")
        facts = Facts(begun, await self._count(asked(judged, begun)), self._memory.last if inherited else ())
        parts = await each_part(judged, lambda each: each[0].size, partial(self._sort, taken.now_ms, facts))
        endings = [ending for part, _ in parts for ending in part.endings]
        deliveries = [delivery for part, _ in parts for delivery in part.deliveries]
        _warn([ending for ending in endings if ending.reason])
        if endings:  # they leave before anything of this batch, or a later one, is appended
            await self._end([Ended(taken.field, not deliveries, endings)])
            over = {ending.position for ending in endings}
            self._memory.end([job.ticket for job in taken.jobs if job.position in over])
        if deliveries:
            self._pack(Batch(taken, deliveries), [chain.from_iterable(part) for part in zip(*[new for _, new in parts], strict=True)])

    def _sort(self, now_ms: float, facts: Facts, judged: Judged) -> tuple[Sorted, list[list[NewEvent]]]:
        some = sort(now_ms, judged, facts)
        return some, events(some.deliveries, len(self._line.writers), self._memory.known)

    async def _count(self, channels: Sequence[str]) -> dict[str, int]:
        return await count(self._line.registry, self._line.log_patience, channels)

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

        So what a shard holds of later jobs than one that hasn't ended is still in its memory, and says what of that job was left out.
        """
        while True:
            batches = list(takewhile(lambda batch: not batch.unanswered, self._window))
            if not batches:
                await self._committed.wait()
                self._committed.clear()
                continue
            there = await self._count(_asking(batches))
            await self._end([Ended(batch.taken.field, whole=True, endings=_receipts(batch, there)) for batch in batches])
            for batch in batches:
                self._window.popleft()
                self._memory.over(batch.outcomes)
                self._memory.end([delivery.ticket for delivery in batch.deliveries])
            self._finished.set()

    async def _end(self, ended: Iterable[Ended]) -> None:
        await self._line.queue_patience.ask(partial(self._queue.finish, self._epoch, list(ended)))

    async def _shorter(self, length: int) -> None:
        """Wait until fewer batches are in flight."""
        while len(self._window) >= length:
            self._finished.clear()
            await self._finished.wait()


def _warn(buried: Sequence[Ending]) -> None:
    if buried:
        more = f", and {len(buried) - 1} more" if buried[1:] else ""
        _log.warning("a job is a dead letter: %s - at `%s`%s", buried[0].reason, buried[0].path, more)


def _asking(batches: Iterable[Batch]) -> list[str]:
    return list({push.to for batch in batches for delivery in batch.asking for push in delivery.pushes})


def _receipts(batch: Batch, there: Mapping[str, int]) -> list[Ending]:
    now_ms = int(batch.taken.now_ms)
    return [
        Ending(delivery.position, delivered(delivery, batch.appended, there, now_ms), delivery.listener or "") for delivery in batch.asking
    ]
