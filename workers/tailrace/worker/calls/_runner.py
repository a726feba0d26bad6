"""Runs one call: its function, arq's hooks around it, and the events that it emits; and says what becomes of it."""

import asyncio
import enum
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from arq.utils import ms_to_datetime
from arq.worker import RetryJob

from tailrace.queue import Back, Claimed, Settlement
from tailrace.queue._claims import Ended
from tailrace.wire import Keys, TailraceError, format_id
from tailrace.worker.calls._arq_settings import Application, Hook
from tailrace.worker.calls._emitter import Emitter
from tailrace.worker.calls._functions import Function, call as call_function, read_argument
from tailrace.worker.calls._outcome import Call, Span, aborted, again, bury, failed, result_of
from tailrace.worker.calls._thread import Threads

Holds = Callable[[], Awaitable[bool]]
_log = logging.getLogger(__name__)


class Why(enum.Enum):
    """Why a call was cancelled."""

    NOT = enum.auto()
    STOPPING = enum.auto()
    ABORTED = enum.auto()
    LOST = enum.auto()


class TooLongError(TailraceError):
    """A call took longer than it may, and would again."""


class LostError(TailraceError):
    """Another worker has the call now."""


class Work:
    """A call that runs."""

    def __init__(self, call: Call, claimed: Claimed, ctx: dict[Any, Any], task: "asyncio.Task[tuple[Any, bytes]]", limit_s: float) -> None:
        """`limit_s` is how long the call may take."""
        self.call, self.claimed, self.ctx, self.task = call, claimed, ctx, task
        self.why = Why.NOT
        self.started_ms, self._ends = round(time.time() * 1000), time.monotonic() + limit_s

    @property
    def overdue(self) -> bool:
        """Say whether it has taken longer than it may."""
        return time.monotonic() > self._ends

    def cancel(self, why: Why) -> None:
        if not self.task.done():
            self.why = why
            self.task.cancel()


class Limits(NamedTuple):
    """How calls are run, where a function doesn't say otherwise."""

    timeout_s: float = 300.0
    tries: int = 5


class Runner:
    """Runs calls of an application's functions."""

    def __init__(self, application: Application, emitter: Emitter, limits: Limits, keys: Keys) -> None:
        self._application, self._emitter, self._limits, self._keys = application, emitter, limits, keys
        self.ctx: dict[Any, Any] = dict(application.ctx)
        """arq's context: what all calls share."""
        self.threads = Threads()

    def start(self, call: Call, claimed: Claimed, holds: Holds) -> Work:
        """Start a call; `holds` says whether this worker still has it."""
        score = int(claimed.due_ms) if math.isfinite(claimed.due_ms) else 0
        job = self._keys.public_id(call.id)
        own = {"job_id": job, "job_try": call.attempt, "enqueue_time": ms_to_datetime(call.enqueued_ms), "score": score}
        ctx = {**self.ctx, **own}
        return Work(call, claimed, ctx, asyncio.create_task(self._run(call, ctx, holds)), self._limit_s(call.function))

    async def _run(self, call: Call, ctx: dict[Any, Any], holds: Holds) -> tuple[Any, bytes]:
        """Return arq's result and, if somebody asked for one, the receipt."""
        try:
            if start := self._application.hooks.on_job_start:
                await start(ctx)
            result, pushes = await self._called(call, ctx)
        except (SystemExit, KeyboardInterrupt) as error:  # a task that raises one ends the whole loop
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        if not await holds():
            raise LostError
        entries, receipt = await self._emitter.emit(call.id, call.key, pushes, receipts=call.listener is not None)
        return (result if call.function.plain else [format_id(entry.id) for entry in entries]), receipt

    async def _called(self, call: Call, ctx: dict[Any, Any]) -> tuple[Any, list[Any]]:
        function = call.function
        if function.plain:
            return await self._timed(function, function.call(ctx, *call.args, **call.kwargs)), []
        argument = read_argument(function, call.args, call.kwargs)
        return None, await self._timed(function, call_function(function, ctx, argument, self.threads))

    async def _timed(self, function: Function, running: Awaitable[Any]) -> Any:
        limit = asyncio.timeout(self._limit_s(function))
        try:
            async with limit:
                return await running
        except TimeoutError:
            if limit.expired():
                raise TooLongError(f"it took longer than {self._limit_s(function):g} s") from None
            raise

    def _limit_s(self, function: Function) -> float:
        return function.timeout_s or self._limits.timeout_s

    def settlement(self, work: Work) -> Settlement | None:
        """Say what becomes of a call that ran; None if it is another worker's."""
        call, task, cancelled = work.call, work.task, work.task.cancelled()
        error: BaseException | None = RetryJob("it was cancelled") if cancelled else task.exception()
        if error is None:
            value, receipt = task.result()
            return Ended(*self._result(work, value, success=True), receipt, call.listener or "")
        if isinstance(error, LostError) or work.why is Why.LOST:
            return None
        if cancelled and work.why is Why.STOPPING:
            return Back()
        if cancelled and work.why is Why.ABORTED:
            return aborted(call, *self._result(work, asyncio.CancelledError("aborted"), success=False))
        most = self._limits.tries if call.function.tries is None else call.function.tries
        if settlement := again(call, error, most, retry=self._application.terms.retry_jobs):
            return settlement
        return bury(work.claimed, failed(call, error), *self._result(work, error, success=False))

    def _result(self, work: Work, value: Any, *, success: bool) -> tuple[bytes, int | None]:
        """Write a result, and say in milliseconds how long it is kept; None is for ever."""
        terms, function = self._application.terms, work.call.function
        forever = terms.keep_result_forever if function.keep_result_forever is None else function.keep_result_forever
        kept_s = terms.keep_result if function.keep_result_s is None else function.keep_result_s
        if not forever and kept_s <= 0:
            return b"", 0
        span = Span(work.started_ms, round(time.time() * 1000), self._keys.calls())
        return result_of(work.call, span, value, success=success), None if forever else max(1, round(kept_s * 1000))

    async def hook(self, hook: Hook | None, ctx: dict[Any, Any]) -> None:
        """Run a hook of which nothing depends any more."""
        try:
            if hook:
                await hook(ctx)
        except Exception:  # noqa: BLE001 - it is logged
            _log.exception("a hook of the application failed")
