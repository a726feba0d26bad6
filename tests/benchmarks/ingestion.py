"""Ingestion: how fast jobs become events, and what that costs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.push import Push, Pusher
from tests.benchmarks._figures import Figures
from tests.benchmarks._process import SERVER, pin
from tests.benchmarks._queues import ARQ, ONE_QUEUE, QUEUES, TAILRACE, TUNED, Queue, fill, producing, push, with_aof
from tests.benchmarks._sides import post
from tests.benchmarks._watch import appended, first, used
from tests.support.service import Service

__all__ = ["ARQ", "ENQUEUE", "INGEST", "JOBS", "MANY", "SEVERAL", "TAILRACE", "Plan", "measure"]
JOBS, MANY, ENQUEUE = "jobs, one worker process", "push_many, one worker process", "enqueue, one producer process"
SEVERAL = "jobs, several worker processes"
INGEST = "tailrace ingest"
_BATCH, _POSTING = 1000, 4


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    peer_rounds: int = 2
    jobs: int = 50_000
    channels: tuple[int, ...] = (1000, 50_000)
    workers: tuple[int, ...] = (2, 4)
    """How many are tried, in one round, beside one."""
    stock_s: float = 2.0
    """Seconds that the peers are given."""
    many: int = 100
    """Pushes of one `push_many`."""
    enqueues: int = 20_000


@asynccontextmanager
async def _client(url: str) -> AsyncIterator["Redis"]:
    redis = Redis.from_url(url)
    try:
        yield redis
    finally:
        await redis.aclose()


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all sides, one after another in each round; several workers and single enqueues once."""
    for number in range(plan.rounds):
        if figures.wants(JOBS, MANY, ENQUEUE):
            figures.say(f"ingestion, round {number + 1} of {plan.rounds}")
        await _round(figures, plan, folder, QUEUES if number < plan.peer_rounds else QUEUES[:1])
    if figures.wants(SEVERAL, ENQUEUE):
        figures.say("ingestion, what is measured once")
    several = partial(_jobs, figures, plan, folder, channels=plan.channels[0])
    await _tried(figures, SEVERAL, ONE_QUEUE, partial(several, ONE_QUEUE, workers=2))
    for workers in plan.workers:
        for queue in QUEUES:
            await _tried(figures, SEVERAL, queue, partial(several, queue, workers=workers))
    for queue in QUEUES:
        if queue.name != TUNED:  # its producer is stock arq's
            await _tried(figures, ENQUEUE, queue, partial(_enqueue, figures, plan, queue))


async def _round(figures: Figures, plan: Plan, folder: Path, queues: Sequence[Queue]) -> None:
    ours = QUEUES[0]
    for queue in queues:
        await _tried(figures, JOBS, queue, partial(_jobs, figures, plan, folder, queue, plan.channels[0]))
    for channels in plan.channels[1:]:
        await _tried(figures, JOBS, ours, partial(_jobs, figures, plan, folder, ours, channels))
    await _tried(figures, MANY, ours, partial(_many, figures, plan, folder))
    await _tried(figures, ENQUEUE, ours, partial(_enqueue_many, figures, plan))
    await _tried(figures, ENQUEUE, ours, partial(_ingest, figures, plan))


async def _tried(figures: Figures, bench: str, queue: Queue, measuring: Callable[[], Awaitable[None]]) -> None:
    if figures.wants(bench) and figures.has(queue.name):
        await figures.attempt(bench, queue.name, measuring, tries=2)


async def _jobs(figures: Figures, plan: Plan, folder: Path, queue: Queue, channels: int, workers: int = 1) -> None:
    ours = queue.name == TAILRACE
    count = plan.jobs if ours else round(plan.stock_s * 3500) * workers
    with with_aof() as server:
        async with _client(server.url) as redis:
            await _put(redis, queue, server.url, count, channels, workers)
            with queue.start(server.url, folder, workers) as pids:
                begun = await first(redis, queue.log)
                before = await used(redis, server.pid, pids)
                seen = await appended(redis, queue.log, count, 30 if ours else plan.stock_s)
                after = await used(redis, server.pid, pids)
    done = max(seen.events - begun, 1)
    bench, size = (JOBS, f"{channels:,} channels") if workers == 1 else (SEVERAL, f"{workers} workers")
    if queue is ONE_QUEUE:
        size += " on one queue"
    figures.add(bench, "jobs/s", size, queue.name, seen.rate)
    figures.add(bench, "worker's CPU us/job", size, queue.name, (after.workers_s - before.workers_s) / done * 1e6)
    figures.add(bench, "Redis' CPU us/job", size, queue.name, (after.redis_s - before.redis_s) / done * 1e6)
    figures.add(bench, "commands that Redis runs/job", size, queue.name, (after.commands - before.commands) / done)
    figures.add(bench, "requests to Redis/job", size, queue.name, (after.requests - before.requests - seen.looks) / done)


async def _put(redis: "Redis", queue: Queue, url: str, count: int, channels: int, workers: int) -> None:
    if queue.wire:
        pushes = [[push(index % channels)] for index in range(count)]
        await fill(redis, queue.wire, pushes, many=False, partitions=workers if queue.partitioned else 1)
        return
    async with producing(queue, url) as producer:
        await producer.put(count, channels)


async def _many(figures: Figures, plan: Plan, folder: Path) -> None:
    channels, ours = plan.channels[0], QUEUES[0]
    count = plan.jobs * 2 // plan.many
    with with_aof() as server:
        async with _client(server.url) as redis:
            pushes = [[push((job * plan.many + index) % channels) for index in range(plan.many)] for job in range(count)]
            await fill(redis, ours.wire, pushes, many=True)
            with ours.start(server.url, folder, 1):
                seen = await appended(redis, ours.log, count * plan.many, 30)
    figures.add(MANY, "events/s", f"{plan.many} each", TAILRACE, seen.rate)


async def _enqueue(figures: Figures, plan: Plan, queue: Queue) -> None:
    count = plan.enqueues if queue.name == TAILRACE else plan.enqueues // 5
    with with_aof() as server:
        async with producing(queue, server.url) as producer:
            await producer.put(100, 100)
            seconds = await producer.put(count, plan.channels[0])
    figures.add(ENQUEUE, "jobs/s", "push", queue.name, count / seconds)


async def _enqueue_many(figures: Figures, plan: Plan) -> None:
    batch = [Push(to=f"room:{index}", data={"n": index}) for index in range(_BATCH)]
    with with_aof() as server:
        async with Pusher(server.url) as pusher:
            begun = time.monotonic()
            for _ in range(0, plan.enqueues * 2, _BATCH):
                await pusher.push_many(batch, receipt=False)
            figures.add(ENQUEUE, "events/s", "push_many of 1,000", TAILRACE, plan.enqueues * 2 / (time.monotonic() - begun))


async def _ingest(figures: Figures, plan: Plan) -> None:
    """Post arrays to the ingest service, several at a time."""
    body = msgspec.json.encode([{"to": f"room:{index}", "data": {"n": index}} for index in range(_BATCH)])
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    with with_aof() as server, Service("ingest", "--redis", server.url) as ingest:
        pin(ingest.pid, SERVER)
        port, each = int(ingest.url.rpartition(":")[2]), plan.enqueues * 2 // _BATCH // _POSTING
        await post(port, "/push", 1, lambda: body, headers)
        begun = time.monotonic()
        await asyncio.gather(*[post(port, "/push", each, lambda: body, headers) for _ in range(_POSTING)])
        figures.add(ENQUEUE, "events/s", "arrays of 1,000 over HTTP", INGEST, each * _POSTING * _BATCH / (time.monotonic() - begun))
