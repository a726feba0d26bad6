"""Ingestion: how fast jobs become events, what that costs, and how long one takes when there is nothing else to do."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.push import Push, Pusher
from tests.benchmarks._figures import Figures
from tests.benchmarks._load import load
from tests.benchmarks._process import GENERATOR, SERVER, pin
from tests.benchmarks._queues import ARQ, QUEUES, SAQ, TAILRACE, TASKIQ, TUNED, Producer, Queue, fill, producing, push
from tests.benchmarks._sides import Missing, payload
from tests.benchmarks._watch import appended, first, used
from tests.support.redis import RedisServer
from tests.support.service import Service

__all__ = ["APPEND", "ARQ", "BROWSER", "ENQUEUE", "JOBS", "MANY", "SAQ", "SEVERAL", "TAILRACE", "TASKIQ", "TUNED", "Plan", "measure"]
JOBS, MANY, ENQUEUE = "jobs, one worker process", "push_many, one worker process", "enqueue, one producer process"
SEVERAL = "jobs, several worker processes"
APPEND, BROWSER = "idle: enqueue -> append", "idle: enqueue -> browser"
_AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
_PATIENCE_MS = 20_000


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 2
    jobs: int = 50_000
    channels: tuple[int, ...] = (1000, 50_000)
    workers: tuple[int, ...] = (2, 4)
    """How many are tried, in one round, beside one."""
    stock_s: float = 2.0
    """Seconds that the peers are given."""
    many: int = 100
    """Pushes of one `push_many`."""
    enqueues: int = 20_000
    idle: int = 150
    stock_idle: int = 10
    """Of stock arq as it comes, which needs half a second for each."""


@contextmanager
def _redis() -> Iterator[RedisServer]:
    with RedisServer("valkey", *_AOF) as server:
        pin(server.pid, GENERATOR)
        yield server


@asynccontextmanager
async def _client(server: RedisServer) -> AsyncIterator["Redis"]:
    redis = Redis.from_url(server.url)
    try:
        yield redis
    finally:
        await redis.aclose()


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all sides, one after another: jobs in each round, what says enough in one go once."""
    for number in range(plan.rounds):
        print(f"ingestion, round {number + 1} of {plan.rounds}", flush=True)
        for channels in plan.channels[1:]:
            await _jobs(figures, plan, folder, QUEUES[0], channels)
        for queue in QUEUES:
            await _tried(figures, queue, _jobs(figures, plan, folder, queue, plan.channels[0]))
        await _many(figures, plan, folder)
        await _enqueue_many(figures, plan)
    for workers in plan.workers:
        for queue in QUEUES:
            await _tried(figures, queue, _jobs(figures, plan, folder, queue, plan.channels[0], workers))
    for queue in QUEUES:
        await _tried(figures, queue, _enqueue(figures, plan, queue))
        await _tried(figures, queue, _idle(figures, plan, folder, queue))
    await _browser(figures, plan, folder)


async def _tried(figures: Figures, queue: Queue, measuring: Coroutine[None, None, None]) -> None:
    """Go on without what can't be measured here."""
    with figures.attempt(queue.name):
        try:
            await measuring
        except Missing as error:
            raise RuntimeError(str(error)) from error


async def _jobs(figures: Figures, plan: Plan, folder: Path, queue: Queue, channels: int, workers: int = 1) -> None:
    ours = queue.name == TAILRACE
    count = plan.jobs if ours else round(plan.stock_s * 3500) * workers
    with _redis() as server:
        async with _client(server) as redis:
            await _put(redis, queue, server.url, count, channels, workers)
            with queue.start(server.url, folder, workers) as pids:
                begun = await first(redis, queue.log)
                before = await used(redis, server.pid, pids)
                seen = await appended(redis, queue.log, count, 30 if ours else plan.stock_s)
                after = await used(redis, server.pid, pids)
    done = max(seen.events - begun, 1)
    bench, size = (JOBS, f"{channels:,} channels") if workers == 1 else (SEVERAL, f"{workers} workers")
    figures.add(bench, "jobs/s", size, queue.name, seen.rate)
    figures.add(bench, "worker's CPU us/job", size, queue.name, (after.workers_s - before.workers_s) / done * 1e6)
    figures.add(bench, "Redis' CPU us/job", size, queue.name, (after.redis_s - before.redis_s) / done * 1e6)
    figures.add(bench, "commands that Redis runs/job", size, queue.name, (after.commands - before.commands) / done)
    figures.add(bench, "requests to Redis/job", size, queue.name, (after.requests - before.requests - seen.looks) / done)


async def _put(redis: "Redis", queue: Queue, url: str, count: int, channels: int, workers: int) -> None:
    if queue.wire:
        pushes = [[push(index % channels)] for index in range(count)]
        await fill(redis, queue.wire, pushes, many=False, partitions=workers if queue.name == TAILRACE else 1)
        return
    async with producing(queue, url) as producer:
        await producer.put(count, channels)


async def _many(figures: Figures, plan: Plan, folder: Path) -> None:
    channels, ours = plan.channels[0], QUEUES[0]
    count = plan.jobs * 2 // plan.many
    with _redis() as server:
        async with _client(server) as redis:
            pushes = [[push((job * plan.many + index) % channels) for index in range(plan.many)] for job in range(count)]
            await fill(redis, ours.wire, pushes, many=True)
            with ours.start(server.url, folder, 1):
                seen = await appended(redis, ours.log, count * plan.many, 30)
    figures.add(MANY, "events/s", f"{plan.many} each", TAILRACE, seen.rate)


async def _enqueue(figures: Figures, plan: Plan, queue: Queue) -> None:
    if queue.name == TUNED:  # its producer is stock arq's
        return
    count = plan.enqueues if queue.name == TAILRACE else plan.enqueues // 5
    with _redis() as server:
        async with producing(queue, server.url) as producer:
            await producer.put(100, 100)
            seconds = await producer.put(count, plan.channels[0])
    figures.add(ENQUEUE, "jobs/s", "push", queue.name, count / seconds)


async def _enqueue_many(figures: Figures, plan: Plan) -> None:
    batch = [Push(to=f"room:{index}", data={"n": index}) for index in range(1000)]
    with _redis() as server:
        async with Pusher(server.url) as pusher:
            begun = time.monotonic()
            for _ in range(0, plan.enqueues * 2, 1000):
                await pusher.push_many(batch, receipt=False)
            figures.add(ENQUEUE, "events/s", "push_many of 1,000", TAILRACE, plan.enqueues * 2 / (time.monotonic() - begun))


async def _idle(figures: Figures, plan: Plan, folder: Path, queue: Queue) -> None:
    count = plan.stock_idle if queue.name == ARQ else plan.idle
    with _redis() as server, queue.start(server.url, folder, 1):
        async with _client(server) as redis, producing(queue, server.url) as producer:
            await producer.put(1, 1)
            await first(redis, queue.log)
            waits = [await _one(redis, producer, queue.log) for _ in range(count)]
    figures.add(APPEND, "p50 ms", "", queue.name, statistics.median(waits))
    figures.add(APPEND, "p99 ms", "", queue.name, statistics.quantiles(waits, n=100, method="inclusive")[98])


async def _one(redis: "Redis", producer: Producer, log: str) -> float:
    """Return the milliseconds from before the enqueueing, which the event itself says, to when a blocked reader has the entry."""
    last = await redis.xrevrange(log, count=1)
    follow = asyncio.ensure_future(redis.xread({log: last[0][0]}, block=_PATIENCE_MS))
    await asyncio.sleep(0.013)
    enqueued = asyncio.ensure_future(producer.put(1, 1, 1))
    found, now = await follow, time.time()
    if not found:
        raise RuntimeError("a job was not appended")
    ((_, ((_, fields),)),) = found
    await enqueued
    return (now - float(fields[b"b"].partition(b'"t":')[2].partition(b",")[0])) * 1000


async def _browser(figures: Figures, plan: Plan, folder: Path) -> None:
    with _redis() as server, Service("edge", "--redis", server.url) as edge, QUEUES[0].start(server.url, folder, 1):
        pin(edge.pid, SERVER)
        async with Pusher(server.url) as pusher:
            port = int(edge.url.rpartition(":")[2])
            async with load(folder, port, "/sse?channel=room:1", 1, events=plan.idle * 16, seconds=plan.idle * 0.04 + 4) as client:
                for _ in range(plan.idle * 16):
                    await pusher.push("room:1", msgspec.Raw(payload()), receipt=False)
                    await asyncio.sleep(0.002)
                counted = await client.counted()
    figures.add(BROWSER, "p50 ms", "", TAILRACE, counted.p50_ms)
    figures.add(BROWSER, "p99 ms", "", TAILRACE, counted.p99_ms)
