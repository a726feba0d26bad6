"""Workers with different functions on one queue, several of one kind, and stock arq workers beside them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import arq
import msgspec
import pytest
from arq import create_pool
from arq.connections import RedisSettings

from tailrace.worker.calls._arq_settings import load
from tests.support.service import Service
from tests.support.wait import wait_until
from tests.worker.support import bench, payload, working

pytestmark = pytest.mark.anyio
CALLS = "tailrace:calls"
HANDLERS, APPLICATION = load(["tests.worker.handlers"]).functions, load(["tests.worker.application"]).functions


async def test_workers_leave_each_other_what_they_do_not_have(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, HANDLERS), working(redis_url, APPLICATION), working(redis_url):
        started = time.monotonic()
        for number in range(50):
            await seen.put(f"ours{number}", payload("counts", {"sender": "x", "text": str(number)}), queue=CALLS)
            await seen.put(f"plain{number}", payload("add", number), queue="tailrace:queue")
        await wait_until(lambda: _count(seen, "arq:result:plain*", 50))
        assert len(await seen.appended(50)) == 50
        assert time.monotonic() - started < 5
        assert await seen.queues.exists(seen.keys.dead()) == 0
        await seen.idle()


async def test_a_call_waits_for_a_worker_with_its_function(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, HANDLERS):
        await seen.put("early", payload("add", 1), queue=CALLS)
        await wait_until(lambda: seen.queues.exists("tailrace:shelf:add"))
        async with working(redis_url, APPLICATION):
            await wait_until(lambda: seen.queues.exists("arq:result:early"), 2)
        assert await seen.queues.exists(seen.keys.dead()) == 0


async def test_a_call_that_no_worker_ever_has_is_a_dead_letter(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, HANDLERS, function_wait_s=1):
        await seen.put("typo", payload("ad", 1, receipt=""), queue=CALLS)
        (letter,) = await seen.dead(1)
        assert (letter.reason, letter.path) == ("no worker has a function 'ad'", "$.f")
        await seen.idle()


async def test_a_killed_workers_functions_are_missed_after_a_while(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        await seen.queues.zadd("tailrace:functions", {"add": (time.time() - 3600) * 1000})
        async with working(redis_url, HANDLERS, function_wait_s=0):
            await seen.put("late", payload("add", 1), queue=CALLS)
            assert [letter.job for letter in await seen.dead(1)] == ["late"]


async def double(ctx: dict[str, Any], number: int) -> int:
    return number * 2


async def forever(ctx: dict[str, Any]) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def stock_worker(settings: RedisSettings) -> AsyncIterator[arq.Worker]:
    functions: list[Any] = [double, forever]
    worker = arq.Worker(functions, redis_settings=settings, handle_signals=False, poll_delay=0.02, allow_abort_jobs=True)
    task = asyncio.create_task(worker.async_run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.wait([task])
        await worker.pool.aclose(close_connection_pool=True)


async def test_stock_workers_with_a_queue_of_their_own_are_left_alone(redis_url: str) -> None:
    settings = RedisSettings.from_dsn(redis_url)
    stock: Any = await create_pool(settings)
    ours: Any = await create_pool(
        settings, job_serializer=msgspec.json.encode, job_deserializer=msgspec.json.decode, default_queue_name=CALLS
    )
    async with bench(redis_url) as seen, stock_worker(settings) as worker, working(redis_url, {**HANDLERS, **APPLICATION}):
        theirs, calls = [], []
        for number in range(100):
            theirs.append(await stock.enqueue_job("double", number))
            calls.append(await ours.enqueue_job("add", number, b=1))
            await seen.push(f"push{number}", "room:1")
        assert [await job.result(timeout=20, poll_delay=0.02) for job in theirs] == [2 * number for number in range(100)]
        assert [await job.result(timeout=20, poll_delay=0.02) for job in calls] == [number + 1 for number in range(100)]
        assert len(await seen.appended(100)) == 100
        endless = await stock.enqueue_job("forever")
        await wait_until(lambda: seen.queues.exists(f"arq:in-progress:{endless.job_id}"))
        assert await endless.abort(timeout=5, poll_delay=0.02) is True
        assert (worker.jobs_complete, worker.jobs_failed, worker.jobs_retried) == (100, 1, 0)
        assert await seen.queues.exists(seen.keys.dead()) == 0
    await stock.aclose()
    await ours.aclose()


async def test_cron_runs_once_over_workers_that_are_killed_at_the_tick(redis_url: str) -> None:
    arguments = ("--redis", redis_url, "--functions", "tests.worker.application", "--call-lease-s", "0.5")
    async with bench(redis_url) as seen:
        services = [Service("worker", *arguments) for _ in range(3)]
        try:
            for each in services:
                each.start()
            for victim in services[:2]:
                await wait_until(partial(_longer, seen, len(await _beats(seen))))
                await wait_until(lambda: _just_before_the_tick(seen))
                victim.kill()
            await wait_until(partial(_longer, seen, len(await _beats(seen)) + 1))
        finally:
            for each in services:
                each.kill()
        seconds = [int(tick) // 1000 for tick in await seen.queues.lrange("ticks", 0, -1)]  # type: ignore[misc]
        assert sorted(set(seconds)) == list(range(min(seconds), max(seconds) + 1))
        assert len(seconds) - len(set(seconds)) <= 1  # one that was cut off may have noted its start


async def _longer(seen: Any, length: int) -> bool:
    return len(await _beats(seen)) > length


async def _beats(seen: Any) -> list[bytes]:
    beats: list[bytes] = await seen.queues.lrange("beats", 0, -1)
    return beats


async def _just_before_the_tick(seen: Any) -> bool:
    _, micros = await seen.queues.time()
    return bool(micros > 980_000)


async def _count(seen: Any, pattern: str, count: int) -> bool:
    return len(await seen.queues.keys(pattern)) == count
