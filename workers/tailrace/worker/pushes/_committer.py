"""Sends a shard its commits: each in its turn, but not only when the one before has been answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from tailrace.events import EarlyError, LogWriter, NewEvent, outcome_field, read_outcome
from tailrace.worker._retry import Patience
from tailrace.worker.pushes._batch import Batch, Commit
from tailrace.worker.pushes._memory import Memory


class Sender:
    """One holder's commits to one shard."""

    def __init__(self, writer: LogWriter, place: tuple[int, int], memory: Memory, patience: Patience, committed: asyncio.Event) -> None:
        """`place` is the partition and the epoch; `committed` is set when all commits of a batch have been answered."""
        self.at_once = writer.at_once
        self._writer, self._place, self._memory, self._patience, self._committed = writer, place, memory, patience, committed
        self._outbox: asyncio.Queue[Commit] = asyncio.Queue()
        self._number = 0
        self._open: set[int] = set()
        """Numbers of commits that have been sent and not answered."""
        self._answered = asyncio.Event()

    def put(self, new: Sequence[NewEvent], batch: Batch) -> None:
        """Let a commit of a batch be sent after all that were put before."""
        self._number += 1
        batch.unanswered += 1
        batch.outcomes.append((self._writer.shard, outcome_field(self._place[1], self._number)))
        self._outbox.put_nowait(Commit(self._number, new, batch))

    async def send(self) -> None:
        """Send one commit after another; `at_once` tasks do so.

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
        """Send a commit until it is answered: one whose predecessor failed comes too early, and goes again when that one is settled."""
        self._open.add(number)
        while True:
            first = number == min(self._open)
            try:
                outcome = await self._patience.ask(request)
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
