"""Ingestion: how fast jobs become events, what that costs, and how long one takes when there is nothing else to do."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tailrace.push import Push, Pusher
from tests.benchmarks._figures import Figures
from tests.benchmarks._load import load
from tests.benchmarks._process import GENERATOR, SERVER, cpu_s, pin
from tests.benchmarks._queues import ARQ, QUEUES, SAQ, TAILRACE, TASKIQ, TUNED, Producer, Queue, fill, producing, push
from tests.benchmarks._sides import payload
from tests.support.redis import RedisServer
from tests.support.service import Service

__all__ = ["APPEND", "ARQ", "BROWSER", "ENQUEUE", "JOBS", "MANY", "SAQ", "SEVERAL", "TAILRACE", "TASKIQ", "TUNED", "Plan", "measure"]
JOBS, MANY, ENQUEUE = "jobs, one worker process", "push_many, one worker process", "enqueue, one producer process"
SEVERAL = "jobs, several worker processes"
APPEND, BROWSER = "idle: enqueue -> append", "idle: enqueue -> browser"
_AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
_LOOK_S, _START_S, _PATIENCE_MS = 0.02, 20.0, 20_000
_OURS = {"xinfo|stream", "info", "hello", "client|setinfo", "config|get", "ping", "select"}
"""Commands that this benchmark sends, or that come with a connection."""


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 2
    jobs: int = 60_000
    channels: tuple[int, ...] = (1000, 50_000)
    workers: tuple[int, ...] = (2, 4)
    """How many are tried, in one round, beside one."""
    stock_s: float = 2.5
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
    """Measure all sides, one after another in each round."""
    for number in range(plan.rounds):
        print(f"ingestion, round {number + 1} of {plan.rounds}", flush=True)
        for channels in plan.channels[1:]:
            await _jobs(figures, plan, folder, QUEUES[0], channels)
        await _many(figures, plan, folder)
        await _enqueue_many(figures, plan)
        for queue in QUEUES:
            await _jobs(figures, plan, folder, queue, plan.channels[0])
            await _enqueue(figures, plan, queue)
            await _idle(figures, plan, folder, queue)
        await _browser(figures, plan, folder)
    for workers in plan.workers:
        for queue in QUEUES:
            await _jobs(figures, plan, folder, queue, plan.channels[0], workers)


async def _jobs(figures: Figures, plan: Plan, folder: Path, queue: Queue, channels: int, workers: int = 1) -> None:
    ours = queue.name == TAILRACE
    count = (plan.jobs if ours else round(plan.stock_s * 3500)) * workers
    with _redis() as server:
        async with _client(server) as redis:
            await _put(redis, queue, server.url, count, channels, workers)
            with queue.start(server.url, folder, workers) as pids:
                first = await _first(redis, queue.log)
                before = await _used(redis, server.pid, pids)
                seen = await _appended(redis, queue.log, count, 30 if ours else plan.stock_s)
                after = await _used(redis, server.pid, pids)
    done = max(seen.events - first, 1)
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
                seen = await _appended(redis, ours.log, count * plan.many, 30)
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
            await _first(redis, queue.log)
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


class _Used(NamedTuple):
    workers_s: float
    """CPU time, as Redis' own."""
    redis_s: float
    commands: int
    """That Redis has run, scripts' included."""
    requests: int
    """That it has read from its clients' sockets."""


async def _used(redis: "Redis", server: int, workers: Sequence[int]) -> _Used:
    stats = await redis.info("commandstats")
    run = sum(each["calls"] for name, each in stats.items() if name.removeprefix("cmdstat_") not in _OURS)
    reads = (await redis.info("stats"))["total_reads_processed"]
    return _Used(sum(map(cpu_s, workers)), cpu_s(server), run, reads)


class _Seen(NamedTuple):
    events: int
    rate: float
    """Events a second in the middle."""
    looks: int


async def _appended(redis: "Redis", log: str, count: int, seconds: float) -> _Seen:
    """Watch a log grow until all is there or the time is over."""
    seen: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while not (seen and seen[-1][1] >= count) and time.monotonic() < end:
        seen.append((time.monotonic(), await _added(redis, log)))
        await asyncio.sleep(_LOOK_S)
    return _Seen(seen[-1][1], _rate(seen), len(seen))


async def _first(redis: "Redis", log: str) -> int:
    """Wait until a worker has started, and return how many events there are then."""
    end = time.monotonic() + _START_S
    while not (added := await _added(redis, log)):
        if time.monotonic() > end:
            raise RuntimeError("no worker appends anything")
        await asyncio.sleep(_LOOK_S)
    return added


async def _added(redis: "Redis", log: str) -> int:
    try:
        return int((await redis.xinfo_stream(log))["entries-added"])
    except ResponseError:  # there is none yet
        return 0


def _rate(seen: Sequence[tuple[float, int]]) -> float:
    last = seen[-1][1]
    middle = [(at, there) for at, there in seen if last * 0.1 <= there <= last * 0.95 and there]
    if not middle:
        return 0.0
    (begin, first), (finish, final) = middle[0], middle[-1]
    return (final - first) / max(finish - begin, _LOOK_S)
