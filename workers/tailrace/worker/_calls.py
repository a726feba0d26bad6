"""Calls of functions, run the arq way from a queue of their own; what they emit is appended once per job and index."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Retry, RetryJob, Worker as ArqWorker, func
from redis.exceptions import ResponseError

from tailrace.wire import JOB_PREFIX, Job, Keys, PushError, PushJob, convert_error, decode_job, format_id
from tailrace.worker._emitter import Emitter
from tailrace.worker._every import cron_jobs
from tailrace.worker._functions import Function, call, read_argument
from tailrace.worker._judge import LOST, listener
from tailrace.worker._patience import Patience
from tailrace.worker._queue import QueueLimits, common, printable
from tailrace.worker._receipts import dead
from tailrace.worker._scripts import script

_MARGIN_S = 60.0  # what arq allows beyond our own time limit, for waiting until events are appended
_PAUSE_S = 1.0
_PUT_BACK_S, _PUT_BACK_TRIES = 0.1, 20
_MAX_TRACEBACK = 20_000
_log = logging.getLogger(__name__)


class Terms(NamedTuple):
    """What calls work with, and how they are run."""

    keys: Keys
    limits: QueueLimits
    emitter: Emitter
    patience: Patience
    at_once: int = 10
    timeout_s: float = 300.0
    tries: int = 5
    poll_s: float = 0.1
    drain_s: float = 10.0
    ctx: Mapping[str, Any] = {}
    """What functions find in arq's context, beside arq's own."""


class Outcome(NamedTuple):
    """How a call ended."""

    receipt: bytes = b""
    listener: str = ""
    reason: str = ""
    """Makes it a dead letter."""
    path: str = "$"
    traceback: str = ""


class Calls(ArqWorker):
    """An arq worker for functions: only JSON, arguments validated, nothing that fails vanishes."""

    def __init__(self, functions: Mapping[str, Function], queue: ArqRedis, terms: Terms) -> None:
        self._terms, self._emitter, self._patience = terms, terms.emitter, terms.patience
        self._common = common(terms.keys, terms.limits)
        self._outcomes: dict[str, Outcome] = {}
        self._picking = asyncio.Lock()
        self._bury = queue.register_script(script("bury"))
        super().__init__(
            [func(self._coroutine(each), name=each.name) for each in functions.values()],
            cron_jobs=cron_jobs(functions, self._coroutine),
            ctx=dict(terms.ctx),
            queue_name=terms.keys.calls(),
            redis_pool=queue,
            handle_signals=False,
            max_jobs=terms.at_once,
            job_timeout=terms.timeout_s + _MARGIN_S,
            poll_delay=terms.poll_s,
            max_tries=terms.tries,
            health_check_interval=30,
            job_serializer=msgspec.json.Encoder(enc_hook=_describe).encode,
            job_deserializer=_deserialize,
        )

    def _coroutine(self, function: Function) -> WorkerCoroutine:
        async def coroutine(ctx: dict[Any, Any], *args: Any, receipt: str | None = None, **kwargs: Any) -> list[str]:
            return await self._call(function, ctx, args, kwargs, receipt)

        coroutine.__qualname__ = function.name
        return coroutine

    async def _call(self, function: Function, ctx: dict[Any, Any], args: Any, kwargs: dict[str, Any], asker: str | None) -> list[str]:
        job = str(ctx["job_id"])
        try:
            argument = read_argument(function, args, kwargs)
            pushes = await self._timed(function, ctx, argument)
        except (Retry, RetryJob):
            raise
        except PushError as error:
            self._outcomes[job] = _failed(job, error.message, error.path, asker)
            raise
        except Exception as error:
            reason = f"{function.name} failed: {type(error).__name__}: {error}"
            self._outcomes[job] = _failed(job, reason, "$", asker, traceback.format_exc()[-_MAX_TRACEBACK:])
            raise
        entries, made = await self._emitter.emit(job, pushes, receipts=asker is not None)
        self._outcomes[job] = Outcome(made, asker or "")
        return [format_id(entry.id) for entry in entries]

    async def _timed(self, function: Function, ctx: dict[Any, Any], argument: Any) -> list[PushJob]:
        limit = asyncio.timeout(self._terms.timeout_s)
        try:
            async with limit:
                return await call(function, ctx, argument)
        except TimeoutError:
            if limit.expired():
                message = f"it took longer than {self._terms.timeout_s:g} s"
                raise TimeoutError(message) from None
            raise
        except (SystemExit, KeyboardInterrupt) as error:  # a task that raises one ends the whole loop
            message = f"{type(error).__name__}: {error}"
            raise RuntimeError(message) from error

    # What arq calls.

    async def _poll_iteration(self) -> None:
        async with self._picking:
            await self._patience.ask(super()._poll_iteration)

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a job, if it can be read."""
        payload = await self._patience.ask(partial(self._payload, job_id))
        if wrong := self._unreadable(job_id, payload):
            self._outcomes[job_id] = wrong
            await self.finish_failed_job(job_id, None)
        else:
            await super().run_job(job_id, score)

    async def finish_job(self, job_id: str, finish: bool, *args: Any, **kwargs: Any) -> None:
        """Note how a job ended, before arq forgets it."""
        if finish:
            late = _failed(job_id, "it was cancelled before its events were appended", "$", None)
            await self._note(job_id, self._outcomes.pop(job_id, late))
        await self._patience.ask(partial(super().finish_job, job_id, finish, *args, **kwargs))

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """Make a job that arq gives up a dead letter."""
        tried = _failed(job_id, f"tried {self._terms.tries} times", "$", None)
        await self._note(job_id, self._outcomes.pop(job_id, tried))
        await self._patience.ask(partial(super().finish_failed_job, job_id, result_data))

    async def drain(self) -> None:
        """Start no more calls, and leave those that run some time to end; what doesn't is put back."""
        self.allow_pick_jobs = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._picking.acquire(), _PAUSE_S)  # cut off there, a job would seem to run for long
        if running := self._running():
            await asyncio.wait(running, timeout=self._terms.drain_s)
        for _ in range(_PUT_BACK_TRIES):
            for task in self.job_tasks.values():
                task.cancel()
            if running := self._running():
                await asyncio.wait(running, timeout=_PUT_BACK_S)
        for task in self._running():  # Redis is away
            task.cancel()

    def _running(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.tasks.values() if not task.done()]

    async def _payload(self, job_id: str) -> bytes | None:
        try:
            return cast("bytes | None", await self.pool.get(JOB_PREFIX + job_id))
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return None
            raise

    def _unreadable(self, job_id: str, payload: bytes | None) -> Outcome | None:
        if payload is None:
            return _failed(job_id, LOST, "$", None)
        try:
            job = decode_job(payload)
            _shape(job)
        except PushError as error:
            return _failed(job_id, error.message, error.path, None)
        if job.f in self.functions:
            return None
        return _failed(job_id, f"no worker here has a function {job.f!r}", "$.f", listener(job))

    async def _note(self, job_id: str, outcome: Outcome) -> None:
        receipt, listener, reason, path, trace = outcome
        args = [job_id, *self._common, self.queue_name, receipt, listener, printable(reason), path]
        ask = partial(self._bury, keys=[self._terms.keys.dead()], args=[*args, trace.encode(errors="backslashreplace")])
        await self._patience.ask(ask)


async def serve_calls(calls: Calls, stopping: asyncio.Event) -> None:
    """Run calls until it is time to stop; those that run then get a while to end, or run again later."""
    stop = asyncio.create_task(stopping.wait())
    while not stopping.is_set():
        main = asyncio.create_task(calls.async_run())
        await asyncio.wait([main, stop], return_when=asyncio.FIRST_COMPLETED)
        if main.done():
            _log.error("calls stopped; beginning again", exc_info=main.exception())
            await asyncio.wait([stop], timeout=_PAUSE_S)
        else:
            await calls.drain()
            main.cancel()
            await asyncio.wait([main])
    await calls.pool.aclose(close_connection_pool=True)


def _shape(job: Job) -> None:
    for text, kind, path in ((job.a, list[Any], "$.a"), (job.k, dict[str, Any], "$.k")):
        try:
            msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PushError(*convert_error(error, path).args) from None


def _deserialize(payload: bytes) -> dict[str, Any]:
    """Read a job for arq, which asks for more than producers have to write."""
    return {"t": None, "a": [], "k": {}, "et": 0, **msgspec.json.decode(payload)}


def _failed(job: str, reason: str, path: str, asker: str | None, trace: str = "") -> Outcome:
    return Outcome(dead(job, reason, path), asker or "", reason, path, trace)


def _describe(value: Any) -> str:
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
