"""Runs one call: its function, arq's hooks around it, and the events that it emits; then decides how the call ends."""

import asyncio
import enum
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple

from arq.utils import ms_to_datetime
from arq.worker import Retry, RetryJob
from redis.asyncio import Redis

from tailrace.events import Appended, LogWriter, NewEvent, Registry
from tailrace.queue import Back, Claimed, Settlement
from tailrace.queue._claims import Ended
from tailrace.wire import JobReceipt, JobState, Keys, PushJob, TailraceError, bucket, encode_receipt, format_id, render
from tailrace.worker._commits import commits
from tailrace.worker._receipts import count, receipt
from tailrace.worker._retry import Patience
from tailrace.worker.calls._arq_settings import Application, Hook
from tailrace.worker.calls._functions import Function, Threads, call as call_function, read_argument
from tailrace.worker.calls._outcome import (
    Asked,
    Call,
    Span,
    Unfit,
    aborted,
    again,
    bury,
    exhausted,
    failed,
    name,
    out_of_tries,
    result_of,
    retries_exceeded,
)

Holds = Callable[[], Awaitable[bool]]
_log = logging.getLogger(__name__)


class Why(enum.Enum):
    """Why a call was cancelled."""

    NOT = enum.auto()
    STOPPING = enum.auto()
    ABORTED = enum.auto()
    LOST = enum.auto()


class TooLongError(TailraceError):
    """A call exceeded its timeout; it isn't tried again."""


class LostError(TailraceError):
    """Another worker holds the claim now."""


class Work:
    """A call in progress."""

    def __init__(self, call: Call, claimed: Claimed, ctx: dict[Any, Any], task: "asyncio.Task[tuple[Any, bytes]]", limit_s: float) -> None:
        """`limit_s` is how long the call may take."""
        self.call, self.claimed, self.ctx, self.task = call, claimed, ctx, task
        self.why = Why.NOT
        self.started_ms, self._ends = round(time.time() * 1000), time.monotonic() + limit_s

    @property
    def overdue(self) -> bool:
        """Say whether it has exceeded its timeout."""
        return time.monotonic() > self._ends

    def cancel(self, why: Why) -> None:
        if not self.task.done():
            self.why = why
            self.task.cancel()


class Emitter:
    """Appends events that functions emit to the logs, outside the ordered pipeline of pushes."""

    def __init__(self, logs: Redis, writers: Sequence[LogWriter], registry: Registry, patience: Patience) -> None:
        self._logs, self._writers, self._registry, self._patience = logs, writers, registry, patience

    async def emit(self, job: str, key: str, pushes: Sequence[PushJob], *, receipts: bool) -> tuple[list[Appended], bytes]:
        """Append a job's events, each once per key and index, and return their entries and, if asked for, the receipt."""
        if not pushes and not receipts:
            return [], b""
        seconds, micros = await self._patience.ask(self._logs.time)
        now_ms = seconds * 1000 + micros // 1000
        blocks = [render(push, now_ms) for push in pushes]
        entries = await self._append(key, pushes, blocks)
        if not receipts:
            return entries, b""
        there = await count(self._registry, self._patience, list({push.to for push in pushes}))
        made = [receipt(push, block, entry, there[push.to], now_ms) for push, block, entry in zip(pushes, blocks, entries, strict=True)]
        return entries, encode_receipt(JobReceipt(job, JobState.APPENDED, made, many=len(made) != 1))

    async def _append(self, key: str, pushes: Sequence[PushJob], blocks: Sequence[bytes]) -> list[Appended]:
        by_shard: list[list[NewEvent]] = [[] for _ in self._writers]
        for index, (push, block) in enumerate(zip(pushes, blocks, strict=True)):
            event = NewEvent(str(index), push.to, block, f"{key}:{index}")
            by_shard[bucket(push.to, len(by_shard))].append(event)
        found: dict[str, Appended] = {}
        for writer, events in zip(self._writers, by_shard, strict=True):
            for some in commits(events):
                # Found under the job's own key, an event is this job's: appended by a run that was cut off.
                for entry in await self._patience.ask(partial(writer.append, some)):
                    found[entry.name] = entry._replace(duplicate=False)
        return [found[str(index)] for index in range(len(pushes))]


class Running:
    """One call, from its claim to its settlement."""

    def __init__(self, claimed: Claimed, sure_until: float) -> None:
        """`sure_until`: by the loop's clock, when the claim may have run out."""
        self.claimed, self.sure_until = claimed, sure_until
        self.function = Asked().function
        self.work: Work | None = None
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Says whether the claim held when the call was settled."""

    def __str__(self) -> str:
        """Name the call in a log line."""
        return f"call {name(self.claimed)} of {self.function!r}"

    def fields(self, queue: str) -> dict[str, str]:
        """Return what a log line about the call holds as fields."""
        return {"function": self.function, "job": name(self.claimed), "queue": queue}

    @property
    def aborted(self) -> bool:
        return self.work is not None and self.work.why is Why.ABORTED and self.work.task.cancelled()

    def cancel(self, why: Why) -> None:
        if self.work:
            self.work.cancel(why)


class Limits(NamedTuple):
    """Limits of calls whose function sets none."""

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
        """Start a call; `holds` says whether this worker still holds its claim."""
        score = int(claimed.due_ms) if math.isfinite(claimed.due_ms) else 0
        job = self._keys.public_id(call.id)
        own = {"job_id": job, "job_try": call.attempt, "enqueue_time": ms_to_datetime(call.enqueued_ms), "score": score}
        ctx = {**self.ctx, **own}
        return Work(call, claimed, ctx, asyncio.create_task(self._run(call, ctx, holds)), self._limit_s(call.function))

    async def _run(self, call: Call, ctx: dict[Any, Any], holds: Holds) -> tuple[Any, bytes]:
        """Return arq's result and, if asked for, the receipt."""
        try:
            if start := self._application.hooks.on_job_start:
                await start(ctx)
            result, pushes = await self._called(call, ctx)
        except (SystemExit, KeyboardInterrupt) as error:  # raised in a task, it would end the loop
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

    async def _timed(self, function: Function, running: Coroutine[Any, Any, Any]) -> Any:
        limit_s = self._limit_s(function)
        limit = asyncio.timeout(limit_s)
        try:
            if limit_s <= 0:  # as in arq, it isn't started
                running.close()
                raise TooLongError("it may take no time: its timeout is 0")
            async with limit:
                return await running
        except TimeoutError:
            if limit.expired():
                raise TooLongError(f"it took longer than {limit_s:g} s") from None
            raise

    def _limit_s(self, function: Function) -> float:
        return self._limits.timeout_s if function.timeout_s is None else function.timeout_s

    def _most(self, function: Function) -> int:
        return self._limits.tries if function.tries is None else function.tries

    def _declared(self, function: Function) -> int | None:
        """Return arq's `max_tries`. The worker's own setting counts failures only, so restarts and deaths don't use it up."""
        return self._application.terms.max_tries if function.tries is None else function.tries

    def exhausted(self, call: Call, claimed: Claimed) -> Unfit | None:
        """Return why a call must not be started, if it has used up its tries."""
        deaths = claimed.deaths if self._declared(call.function) is not None else 0
        return None if claimed.aborted else exhausted(call, deaths, self._most(call.function))

    def refuse(self, claimed: Claimed, unfit: Unfit) -> Ended:
        """End a call that can't be run: it is a dead letter, and has the result that arq gives it."""
        if unfit.error is None:
            return bury(claimed, unfit)
        kept, now_ms = self._kept_ms(None), round(time.time() * 1000)
        span = Span(now_ms, now_ms, self._keys.calls())
        result = b"" if kept == 0 else result_of(name(claimed), unfit.asked, span, unfit.error, success=False)
        return bury(claimed, unfit, result, kept)

    def stopped(self, work: Work) -> Settlement:
        """Say what becomes of a call that the worker's end cuts off: it runs elsewhere, unless it may be started only once."""
        call, most = work.call, self._declared(work.call.function)
        if call.function.plain and most is not None and most <= 1:
            return self.refuse(work.claimed, out_of_tries(call, most, "its worker was stopped"))
        return Back()

    def settlement(self, work: Work) -> Settlement | None:
        """Decide how a call that ran ends; None if another worker holds it."""
        call, task, cancelled = work.call, work.task, work.task.cancelled()
        error: BaseException | None = RetryJob("it was cancelled") if cancelled else task.exception()
        if error is None:
            value, receipt = task.result()
            return Ended(*self._result(work, value, success=True), receipt, call.listener or "")
        if isinstance(error, LostError) or work.why is Why.LOST:
            return None
        if cancelled and work.why is Why.STOPPING:
            return self.stopped(work)
        if cancelled and work.why is Why.ABORTED:
            return aborted(call, *self._result(work, asyncio.CancelledError("aborted"), success=False))
        most, retry = self._most(call.function), self._application.terms.retry_jobs
        if settlement := again(call, error, most, retry=retry):
            return settlement
        return bury(work.claimed, failed(call, error), *self._result(work, _as_in_arq(call, error, most, retry=retry), success=False))

    def _result(self, work: Work, value: Any, *, success: bool) -> tuple[bytes, int | None]:
        """Write a result, and say in milliseconds how long it is kept; None is for ever."""
        kept = self._kept_ms(work.call.function)
        if kept == 0:
            return b"", 0
        span = Span(work.started_ms, round(time.time() * 1000), self._keys.calls())
        return result_of(work.call.id, work.call.asked, span, value, success=success), kept

    def _kept_ms(self, function: Function | None) -> int | None:
        """Return how long a function's results are kept, or those of calls without one; None is for ever."""
        terms = self._application.terms
        forever = function.keep_result_forever if function else None
        kept_s = function.keep_result_s if function else None
        if terms.keep_result_forever if forever is None else forever:
            return None
        kept_s = terms.keep_result if kept_s is None else kept_s
        return max(1, round(kept_s * 1000)) if kept_s > 0 else 0

    async def hook(self, hook: Hook | None, ctx: dict[Any, Any]) -> None:
        """Run a hook whose failure changes nothing."""
        try:
            if hook:
                await hook(ctx)
        except Exception:  # noqa: BLE001 - it is logged
            _log.exception("a hook of the application failed", extra={"job": str(ctx.get("job_id", "")), "queue": self._keys.calls()})


def _as_in_arq(call: Call, error: BaseException, most: int, *, retry: bool) -> BaseException:
    """Return the error that arq puts into the result."""
    if isinstance(error, TooLongError):
        return TimeoutError(str(error))
    if call.function.plain and retry and isinstance(error, (Retry, RetryJob)):
        return retries_exceeded(most)
    return error
