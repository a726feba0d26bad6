"""Scheduled functions, `@every` and arq's cron: each occurrence is enqueued once, however many workers there are."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import uuid4

from arq.cron import CronJob, cron
from arq.utils import to_unix_ms

from tailrace.queue import CallQueue
from tailrace.wire import SetupError, encode_job
from tailrace.worker._retry import TROUBLES
from tailrace.worker.calls._cron import next_run
from tailrace.worker.calls._functions import CTX, MARK, VARIADIC, F, Function

_MINUTE, _HOUR = 60, 3600
_LOOK_S = 0.5
_AHEAD = timedelta(seconds=1.5)
_MISSED = timedelta(seconds=60)  # after a longer pause, missed occurrences are skipped


def every(seconds: int) -> Callable[[F], F]:
    """Schedule a function at an interval; exactly one worker runs each occurrence.

    `seconds` must divide a minute, or be whole minutes that divide an hour; occurrences are aligned to the full minute or hour. The
    function takes nothing, or arq's context as `ctx`. What it returns is appended as for `@function`. A run that fails becomes a dead
    letter and doesn't affect the next.

    Raises SetupError: the function takes an argument, or `seconds` is not such an interval.
    """
    if seconds < 1 or (_MINUTE % seconds and (seconds % _MINUTE or _HOUR % seconds)):
        message = f"every({seconds}): seconds have to divide 60, or be minutes that divide an hour"
        raise SetupError(message)

    def mark(call: F) -> F:
        parameters = list(inspect.signature(call).parameters.values())
        if any(each.name != CTX or each.kind in VARIADIC for each in parameters):
            message = f"function {call.__name__!r} runs by itself, so it can take nothing but `ctx`"
            raise SetupError(message)
        by_keyword = bool(parameters) and parameters[0].kind is inspect.Parameter.KEYWORD_ONLY
        setattr(call, MARK, Function(call.__name__, call, wants_ctx=bool(parameters), ctx_is_keyword=by_keyword, every_s=seconds))
        return call

    return mark


def cron_jobs(functions: Mapping[str, Function]) -> list[CronJob]:
    """Return the schedules of `@every` functions as arq's cron jobs."""
    return [_cron_job(each) for each in functions.values() if each.every_s]


def _cron_job(function: Function) -> CronJob:
    seconds = function.every_s
    minutes = set(range(0, 60, seconds // _MINUTE)) if seconds > _MINUTE else None
    return cron(
        _nothing,
        name=function.name,
        minute=minutes,
        second=set(range(0, _MINUTE, seconds)) if seconds < _MINUTE else 0,
        microsecond=0,
    )


async def _nothing(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    """Stand in for a function where only its schedule is needed."""


class Clock:
    """Enqueues occurrences shortly before they are due. All workers do, and the queue keeps one of each."""

    def __init__(
        self, cron_jobs: Sequence[CronJob], queue: CallQueue, begun: asyncio.Event, timezone: tzinfo | None = None, *, burst: bool = False
    ) -> None:
        """`begun` is set when the runs at startup are enqueued. `timezone` defaults to this machine's.

        In a `burst` only the runs at startup are enqueued: recurring runs would keep the queue from ever being empty.
        """
        self._queue, self._begun, self._timezone, self._burst = queue, begun, timezone, burst
        self._jobs = [copy(each) for each in cron_jobs if each.run_at_startup or not burst]

    async def run(self) -> None:
        while True:
            now = datetime.now(UTC)
            for job in list(self._jobs):
                await self._look(job, now)
            if not self._burst or not self._jobs:
                self._begun.set()
            await asyncio.sleep(_LOOK_S)

    async def _look(self, job: CronJob, now: datetime) -> None:
        if job.next_run is None and job.run_at_startup:
            job.next_run = now
        elif not self._burst and (job.next_run is None or job.next_run < now - _MISSED):
            job.next_run = next_run(job, now, self._timezone)
        while job.next_run and job.next_run < now + _AHEAD:
            if not await self._enqueue(job, to_unix_ms(job.next_run)):
                return
            if self._burst:
                self._jobs.remove(job)
                return
            job.next_run = next_run(job, job.next_run, self._timezone)

    async def _enqueue(self, job: CronJob, due_ms: int) -> bool:
        name = job.job_id or (f"{job.name}:{due_ms}" if job.unique else uuid4().hex)
        try:
            await self._queue.tick(name, encode_job(job.name, [], {}, due_ms), due_ms, once=not job.job_id)
        except TROUBLES:  # retried at the next look, or done by another worker
            return False
        return True
