"""The calls of one worker process, from `on_startup` to `on_shutdown`: their connections, and what runs them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from arq.connections import ArqRedis

from tailrace.queue import CallQueue, Claimed, QueueLimits
from tailrace.redis import connect_queue
from tailrace.wire import Keys
from tailrace.worker._bell import LONGEST_S, Bell
from tailrace.worker._config import WorkerConfig
from tailrace.worker._retry import Patience, before
from tailrace.worker.calls._arq_settings import Application
from tailrace.worker.calls._executor import Calls, CallTerms
from tailrace.worker.calls._health import Health
from tailrace.worker.calls._runner import Emitter, Limits, Runner
from tailrace.worker.calls._schedule import Clock, cron_jobs
from tailrace.worker.calls._watchdog import Keep

_PAUSE_S = 1.0
_CONNECTIONS = 1000  # functions may use any number through ctx['redis']
_log = logging.getLogger(__name__)


class Means(NamedTuple):
    """Resources that calls share with the rest of the worker."""

    emitter: Emitter
    limits: QueueLimits
    patience: Patience
    begun: asyncio.Event
    """Set when the runs at startup are enqueued."""


async def serve_calls(config: WorkerConfig, application: Application, means: Means, stopping: asyncio.Event) -> None:
    """Run calls until `stopping` is set."""
    async with _connected(config) as (redis, bell):
        terms, limits = application.terms, means.limits._replace(lease_ms=round(config.call_lease_s * 1000))
        keys = Keys(config.prefix)
        queue = CallQueue(redis, keys, limits, uuid4().hex[:12])
        how = Limits(
            config.call_timeout_s if terms.job_timeout is None else terms.job_timeout,
            config.call_tries if terms.max_tries is None else terms.max_tries,
        )
        runner = Runner(application, means.emitter, how, keys)
        runner.ctx["redis"] = redis
        crons = [*cron_jobs(application.functions), *application.cron_jobs]
        clock = Clock(crons, queue, means.begun, terms.timezone, burst=config.burst)
        how_taken = _terms(config, application, means.patience, bell, partial(_keep, config, limits))
        calls = Calls(application, queue, runner, clock, how_taken)
        if not await before(stopping, _started(application, runner.ctx)):
            return
        health = Health(redis, calls, terms)
        telling = asyncio.create_task(health.tell())
        try:
            await _again_and_again(calls, stopping)
        finally:
            telling.cancel()
            await asyncio.wait([telling])
            await health.remove()
            await runner.hook(application.hooks.on_shutdown, runner.ctx)


@asynccontextmanager
async def _connected(config: WorkerConfig) -> AsyncIterator[tuple[ArqRedis, Bell]]:
    url = config.queue_redis or config.redis
    pool = connect_queue(url, timeout_s=10, connections=_CONNECTIONS).connection_pool
    redis = ArqRedis(pool, msgspec.json.encode, msgspec.json.decode, default_queue_name=Keys(config.prefix).calls())
    listener = connect_queue(url, timeout_s=LONGEST_S + 5, connections=2)
    bell = Bell(listener, Keys(config.prefix).calls_bell())
    try:
        yield redis, bell
    finally:
        await bell.leave()
        await listener.aclose()
        await redis.aclose(close_connection_pool=True)


async def _keep(config: WorkerConfig, limits: QueueLimits, claims: Sequence[Claimed]) -> None:
    """Renew claims from the watchdog's loop, which needs a connection of its own."""
    redis = connect_queue(config.queue_redis or config.redis, connections=1)
    try:
        await CallQueue(redis, Keys(config.prefix), limits, "").keep(claims)
    finally:
        await redis.aclose()


def _terms(config: WorkerConfig, application: Application, patience: Patience, bell: Bell, keep: Keep) -> CallTerms:
    terms = application.terms
    drain_s = config.drain_s if terms.job_completion_wait is None else terms.job_completion_wait
    at_once = terms.max_jobs or config.max_calls
    return CallTerms(patience, bell, keep, at_once, config.calls_poll_s, config.call_lease_s, drain_s, config.function_wait_s)


async def _started(application: Application, ctx: dict[Any, Any]) -> bool:
    """Call the application's `on_startup` until it succeeds; pushes don't wait for it."""
    while start := application.hooks.on_startup:
        try:
            await start(ctx)
        except Exception:  # noqa: BLE001 - it is logged, and tried again
            _log.exception("on_startup failed; retrying in %g s, and running no calls until it succeeds", _PAUSE_S)
            await asyncio.sleep(_PAUSE_S)
        else:
            break
    return True


async def _again_and_again(calls: Calls, stopping: asyncio.Event) -> None:
    """Restart after an unexpected error. Calls that were running then run again when their claims have expired."""
    while not stopping.is_set():
        try:
            await calls.serve(stopping)
        except* Exception:  # noqa: BLE001 - logged, and pushes go on
            _log.exception("calls stopped on an unexpected error; restarting them in %g s", _PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _PAUSE_S)
