"""Settles calls: says to the queue how they ended, those that end together in one go."""

import asyncio
import logging
from functools import partial

from tailrace.queue import CallQueue, Settlement
from tailrace.queue._claims import Ended
from tailrace.worker._retry import Patience
from tailrace.worker.calls._running import Running

_log = logging.getLogger(__name__)


class Settler:
    """The one of a worker that settles its calls."""

    def __init__(self, queue: CallQueue, patience: Patience) -> None:
        self._queue, self._patience = queue, patience
        self._waiting: list[tuple[Running, Settlement]] = []
        self._any = asyncio.Event()
        self._number = 0
        self.ended, self.dead, self.retried = 0, 0, 0

    def put(self, running: Running, settlement: Settlement) -> asyncio.Future[bool]:
        """Settle a call; the answer says whether it was still this worker's."""
        self._waiting.append((running, settlement))
        self._any.set()
        return running.settled

    async def end(self, running: Running, settlement: Settlement) -> bool:
        """Settle a call that has run or can't; return False if another worker has it."""
        match settlement:
            case Ended(reason="") if running.aborted:
                self.dead += 1  # as arq counts
            case Ended(reason=""):
                self.ended += 1
            case Ended(reason=reason, path=path):
                self.dead += 1
                _log.warning("a call is a dead letter: %s - at `%s`", reason, path)
            case _:
                self.retried += 1
        return await self.put(running, settlement)

    async def run(self) -> None:
        """Send settlements; those that come while some are on their way go together."""
        while True:
            await self._any.wait()
            self._any.clear()
            some, self._waiting = self._waiting, []
            self._number += 1
            sent = [(running.claimed, settlement) for running, settlement in some]
            held = await self._patience.ask(partial(self._queue.settle, self._number, sent))
            for (running, _), each in zip(some, held, strict=True):
                if not running.settled.done():
                    running.settled.set_result(each)
