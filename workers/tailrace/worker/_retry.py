"""Requests to Redis, retried until they are answered; and work that ends when the worker stops."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from redis.exceptions import RedisError

from tailrace.redis import refusal

T = TypeVar("T")
REDIS_ERRORS = (RedisError, OSError)
"""What a command raises if Redis can't run it now. Everything else is a fault of ours, and isn't retried.

`tailrace.redis` turns the RuntimeError that uvloop raises for a write to a closed connection into a ConnectionError.
"""
_FIRST_S, _LONGEST_S, _LOG_AGAIN_S = 0.02, 1.0, 60.0
_log = logging.getLogger(__name__)


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled and redis-py has swallowed the cancellation.

    redis-py reads answers in `asyncio.wait_for`, which before Python 3.12 loses a cancellation that arrives as the result does
    (CPython #86296). Without this check, a cancelled task would go on forever.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


class Retrier:
    """Retries requests, with a backoff of 20 ms to 1 s. Logs an outage once a minute at most, and its end."""

    def __init__(self, name: str) -> None:
        """`name` says which Redis it is, for the log."""
        self._name = name
        self._waiting: set[object] = set()
        self._logged = 0.0

    async def run(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request until Redis answers it. Raises what isn't in `REDIS_ERRORS`."""
        me, pause_s = object(), _FIRST_S
        try:
            while True:
                try:
                    answer = await request()
                    raise_if_cancelled()
                except REDIS_ERRORS as error:
                    raise_if_cancelled()
                    self._log_outage(me, error)
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads workers, keeps no secret
                    pause_s = min(pause_s * 2, _LONGEST_S)
                else:
                    self._log_recovery(me)
                    return answer
        finally:  # without an answer, nothing is known about Redis
            self._waiting.discard(me)

    def _log_outage(self, me: object, error: Exception) -> None:
        if not self._waiting or time.monotonic() - self._logged > _LOG_AGAIN_S:
            self._logged = time.monotonic()
            refused = refusal(error)
            reason = f"{refused.meaning if refused else type(error).__name__}: {error}"
            _log.warning("waiting for %s: %s", self._name, reason, extra={"redis": self._name, "reason": reason})
        self._waiting.add(me)

    def _log_recovery(self, me: object) -> None:
        if me in self._waiting:
            self._waiting.discard(me)
            if not self._waiting:
                _log.info("%s is reachable again", self._name, extra={"redis": self._name})


async def unless_stopped(stopping: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """Return what some work returns, or cancel it and return None if `stopping` is set first."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
