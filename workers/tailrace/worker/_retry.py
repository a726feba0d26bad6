"""Waiting for Redis: whatever it answers, or doesn't, the same request is sent again until it is settled."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from redis.exceptions import RedisError

from tailrace.redis import refusal

T = TypeVar("T")
TROUBLES = (RedisError, OSError, RuntimeError)
"""What commands raise when Redis can't do them now; RuntimeError is uvloop's, where redis-py writes to a connection that is just gone."""
_FIRST_S, _LONGEST_S, _SAY_AGAIN_S = 0.02, 1.0, 60.0
_log = logging.getLogger(__name__)


def heed_cancel() -> None:
    """Raise CancelledError where this task was cancelled and redis-py has swallowed it.

    It sends commands in `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes as one goes out (CPython #86296).
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


class Patience:
    """Asks until there is an answer; says that it has to wait, once a minute at most, and that it is over."""

    def __init__(self, whom: str) -> None:
        self._whom = whom
        self._waiting: set[object] = set()
        self._said = 0.0

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request until it is answered. Passes on what isn't Redis' fault."""
        me, pause = object(), _FIRST_S
        try:
            while True:
                try:
                    answer = await request()
                    heed_cancel()
                except TROUBLES as error:
                    heed_cancel()
                    self._complain(me, error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads workers, keeps no secret
                    pause = min(pause * 2, _LONGEST_S)
                else:
                    return answer
        except asyncio.CancelledError:  # given up, not over: nothing to say
            self._waiting.discard(me)
            raise
        finally:
            self._calm(me)

    def _complain(self, me: object, error: Exception) -> None:
        if not self._waiting or time.monotonic() - self._said > _SAY_AGAIN_S:
            self._said = time.monotonic()
            refused = refusal(error)
            _log.warning("waiting for %s: %s: %s", self._whom, refused.meaning if refused else type(error).__name__, error)
        self._waiting.add(me)

    def _calm(self, me: object) -> None:
        if me in self._waiting:
            self._waiting.discard(me)
            if not self._waiting:
                _log.warning("waited for %s long enough: going on", self._whom)


async def before(stopping: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """Return what some work returns, or None where it was time to stop before it was done; then it is given up."""
    doing, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([doing, stop], return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for task in (doing, stop):
            task.cancel()
        await asyncio.gather(doing, stop, return_exceptions=True)
