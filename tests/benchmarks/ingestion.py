"""Ingestion: how fast jobs become events, and how long one takes when there is nothing else to do."""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.push import Push, Pusher
from tailrace.wire import JOB_PREFIX, Keys, PushJob, encode_pushes
from tests.benchmarks._figures import Figures
from tests.benchmarks._load import load
from tests.benchmarks._process import GENERATOR, SERVER, cpu_s, pin, running
from tests.benchmarks._sides import payload
from tests.support.redis import RedisServer
from tests.support.service import Service

JOBS, MANY, ENQUEUE = "jobs, one worker process", "push_many, one worker process", "enqueue, one producer process"
APPEND, BROWSER = "idle: enqueue -> append", "idle: enqueue -> browser"
TAILRACE, ARQ, TUNED = "tailrace worker", "stock arq", "stock arq, tuned"
_KEYS = Keys("tailrace")
_STOCK_LOG, _STOCK_QUEUE = "bench:log", "arq:queue"
_AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
_LOOK_S = 0.02
_STOCK = Path(__file__).parent / "peers" / "arq_stock.py"


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 2
    jobs: int = 60_000
    channels: tuple[int, ...] = (1000, 50_000)
    stock_s: float = 4.0
    """Seconds that stock arq is given."""
    many: int = 100
    """Pushes of one `push_many`."""
    enqueues: int = 20_000
    idle: int = 150
    stock_idle: int = 12


@contextmanager
def worker(url: str, folder: Path) -> Iterator[int]:
    with Service("worker", "--redis", url, "--log-level", "warning") as service:
        pin(service.pid, SERVER)
        yield service.pid


@contextmanager
def _stock(url: str, folder: Path, tuned: str = "") -> Iterator[int]:
    environ = {"BENCH_REDIS": url, "BENCH_LOG": _STOCK_LOG, "BENCH_TUNED": tuned}
    with running([sys.executable, str(_STOCK)], SERVER, folder, environ) as process:
        yield process.pid


@contextmanager
def _tuned(url: str, folder: Path) -> Iterator[int]:
    with _stock(url, folder, "yes") as pid:
        yield pid


@contextmanager
def _redis() -> Iterator[RedisServer]:
    with RedisServer("valkey", *_AOF) as server:
        pin(server.pid, GENERATOR)
        yield server


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all sides, one after another in each round."""
    for number in range(plan.rounds):
        print(f"ingestion, round {number + 1} of {plan.rounds}", flush=True)
        for channels in plan.channels:
            await _jobs(figures, plan, folder, TAILRACE, channels)
        await _jobs(figures, plan, folder, ARQ, plan.channels[0])
        await _jobs(figures, plan, folder, TUNED, plan.channels[0])
        await _many(figures, plan, folder)
        await _enqueue(figures, plan)
        await _idle(figures, plan, folder, TAILRACE, plan.idle)
        await _idle(figures, plan, folder, ARQ, plan.stock_idle)
        await _browser(figures, plan, folder)


async def _jobs(figures: Figures, plan: Plan, folder: Path, side: str, channels: int) -> None:
    stock = side != TAILRACE
    count = round(plan.stock_s * 2000) if stock else plan.jobs
    with _redis() as server:
        redis = Redis.from_url(server.url)
        pushes = [[_push(index % channels)] for index in range(count)]
        await _fill(redis, _STOCK_QUEUE if stock else _KEYS.queue(0), pushes, many=False)
        start = {TAILRACE: worker, ARQ: _stock, TUNED: _tuned}[side]
        with start(server.url, folder) as pid:
            before = cpu_s(pid), cpu_s(server.pid)
            seconds = plan.stock_s + 1.5 if stock else 30
            done, rate = await _appended(redis, _STOCK_LOG if stock else _KEYS.log(0), count, seconds)
            used = cpu_s(pid) - before[0], cpu_s(server.pid) - before[1]
        await redis.aclose()
    size = f"{channels:,} channels"
    figures.add(JOBS, "jobs/s", size, side, rate)
    figures.add(JOBS, "worker's CPU us/job", size, side, used[0] / max(done, 1) * 1e6)
    figures.add(JOBS, "Redis' CPU us/job", size, side, used[1] / max(done, 1) * 1e6)


async def _many(figures: Figures, plan: Plan, folder: Path) -> None:
    channels = plan.channels[0]
    count = plan.jobs * 2 // plan.many
    with _redis() as server, _client(server) as redis:
        pushes = [[_push((job * plan.many + index) % channels) for index in range(plan.many)] for job in range(count)]
        await _fill(redis, _KEYS.queue(0), pushes, many=True)
        with worker(server.url, folder):
            _, rate = await _appended(redis, _KEYS.log(0), count * plan.many, 30)
    figures.add(MANY, "events/s", f"{plan.many} each", TAILRACE, rate)


@contextmanager
def _client(server: RedisServer) -> Iterator[Redis]:
    yield Redis.from_url(server.url)


async def _enqueue(figures: Figures, plan: Plan) -> None:
    with _redis() as server:
        async with Pusher(server.url) as pusher:
            begun = time.monotonic()
            for start in range(0, plan.enqueues, 1000):
                calls = [pusher.push(f"room:{index % 1000}", {"n": index}, receipt=False) for index in range(start, start + 1000)]
                await asyncio.gather(*calls)
            figures.add(ENQUEUE, "jobs/s", "push", TAILRACE, plan.enqueues / (time.monotonic() - begun))
            batch = [Push(to=f"room:{index}", data={"n": index}) for index in range(1000)]
            begun = time.monotonic()
            for _ in range(0, plan.enqueues * 2, 1000):
                await pusher.push_many(batch, receipt=False)
            figures.add(ENQUEUE, "events/s", "push_many of 1,000", TAILRACE, plan.enqueues * 2 / (time.monotonic() - begun))


async def _idle(figures: Figures, plan: Plan, folder: Path, side: str, count: int) -> None:
    stock = side == ARQ
    with _redis() as server, _client(server) as redis, (_stock if stock else worker)(server.url, folder):
        log = _STOCK_LOG if stock else _KEYS.log(0)
        async with Pusher(server.url) as pusher:
            await asyncio.sleep(1)
            waits = [await _one(redis, pusher, log, index, stock=stock) for index in range(count)]
    _latency(figures, APPEND, side, waits[len(waits) // 10 :])


async def _one(redis: Redis, pusher: Pusher, log: str, index: int, *, stock: bool) -> float:
    """Return the milliseconds from before the enqueueing to when a blocked reader has the entry."""
    last = await redis.xrevrange(log, count=1)
    follow = asyncio.ensure_future(redis.xread({log: last[0][0] if last else "0-0"}, block=5000))
    await asyncio.sleep(0.013)
    begun = time.monotonic()
    if stock:
        await _fill(redis, _STOCK_QUEUE, [[_push(index)]], many=False)
    else:
        await pusher.push("room:1", {"n": index}, receipt=False)
    await follow
    return (time.monotonic() - begun) * 1000


async def _browser(figures: Figures, plan: Plan, folder: Path) -> None:
    with _redis() as server, Service("edge", "--redis", server.url) as edge, worker(server.url, folder):
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


def _latency(figures: Figures, bench: str, side: str, waits: Sequence[float]) -> None:
    figures.add(bench, "p50 ms", "", side, statistics.median(waits))
    figures.add(bench, "p99 ms", "", side, statistics.quantiles(waits, n=100, method="inclusive")[98])


def _push(channel: int) -> PushJob:
    return PushJob(to=f"room:{channel}", data=msgspec.Raw(payload()))


async def _fill(redis: Redis, queue: str, jobs: Sequence[Sequence[PushJob]], *, many: bool) -> None:
    """Enqueue the way arq does, which any producer may."""
    now = time.time() * 1000
    for start in range(0, len(jobs), 1000):
        pipe = redis.pipeline(transaction=False)
        for index, pushes in enumerate(jobs[start : start + 1000], start):
            name = f"{now:.0f}-{index:08}"
            pipe.set(f"{JOB_PREFIX}{name}", encode_pushes(pushes, round(now), many=many), px=86_400_000)
            pipe.zadd(queue, {name: now - len(jobs) + index})
        await pipe.execute()


async def _appended(redis: Redis, log: str, count: int, seconds: float) -> tuple[int, float]:
    """Watch a log grow until all is there or the time is over; return how many came, and how many a second in the middle."""
    seen: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while not (seen and seen[-1][1] >= count) and time.monotonic() < end:
        there = int(await redis.exists(log)) and int((await redis.xinfo_stream(log))["entries-added"])
        seen.append((time.monotonic(), there))
        await asyncio.sleep(_LOOK_S)
    last = seen[-1][1]
    middle = [(at, there) for at, there in seen if last * 0.1 <= there <= last * 0.95 and there]
    (begin, first), (finish, final) = middle[0], middle[-1]
    return last, (final - first) / max(finish - begin, _LOOK_S)
