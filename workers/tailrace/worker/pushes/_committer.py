"""Sends commits to a shard: in order, but without waiting for the answer to the one before.

A commit whose predecessor failed on the way is refused as early, and sent again once the predecessor is settled. History that would break
without numbers: commits 7 and 8 are sent together, the connection drops 7, and 8 is appended first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from tailrace.events import EarlyError, LogWriter, NewEvent, outcome_field, read_outcome
from tailrace.worker._retry import Retrier
from tailrace.worker.pushes._batch import Batch, Commit
from tailrace.worker.pushes._memory import Memory


class Sender:
    """Sends one holder's commits to one shard."""

    def __init__(self, writer: LogWriter, place: tuple[int, int], memory: Memory, retrier: Retrier, committed: asyncio.Event) -> None:
        """`place` is the partition and the epoch; `committed` is set when all commits of a batch have been answered."""
        self.at_once = writer.at_once
        self._writer, self._place, self._memory, self._retrier, self._committed = writer, place, memory, retrier, committed
        self._outbox: asyncio.Queue[Commit] = asyncio.Queue()
        self._number = 0
        self._open: set[int] = set()
        """Numbers of commits that were sent and not answered."""
        self._answered = asyncio.Event()

    def put(self, new: Sequence[NewEvent], batch: Batch) -> None:
        """Queue a commit of a batch for sending."""
        self._number += 1
        batch.unanswered += 1
        batch.outcomes.append((self._writer.shard, outcome_field(self._place[1], self._number)))
        self._outbox.put_nowait(Commit(self._number, new, batch))

    async def send(self) -> None:
        """Send queued commits; `at_once` tasks run this.

        Raises RefusedError, EarlyError (the shard has lost commits).
        """
        while True:
            number, new, batch = await self._outbox.get()
            forget = self._memory.forgettable(self._writer.shard)
            outcome = await self._settle(number, partial(self._writer.commit, *self._place, number, forget, new))
            if batch.asking:
                batch.appended.update([(entry.name, entry) for entry in read_outcome(outcome)])
            batch.unanswered -= 1
            if not batch.unanswered:
                self._committed.set()

    async def _settle(self, number: int, request: Callable[[], Awaitable[bytes]]) -> bytes:
        """Send a commit until it is answered. An early one waits until all before it are settled, and is sent again."""
        self._open.add(number)
        while True:
            first = number == min(self._open)
            try:
                outcome = await self._retrier.run(request)
            except EarlyError:
                if first:
                    raise
                while number > min(self._open):
                    self._answered.clear()
                    await self._answered.wait()
            else:
                self._open.discard(number)
                self._answered.set()
                return outcome
