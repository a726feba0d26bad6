"""Waiting: how long one job takes when there is nothing else to do."""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.push import Push, Pusher
from tests.benchmarks._figures import Figures
from tests.benchmarks._load import following, line, load
from tests.benchmarks._process import SERVER, pin
from tests.benchmarks._queues import ARQ, QUEUES, TAILRACE, Queue, producing, with_aof
from tests.benchmarks._sides import payload
from tests.benchmarks._watch import first
from tests.support.redis import RedisServer
from tests.support.service import Service

APPEND, BROWSER, DUE = "idle: enqueue -> append", "idle: enqueue -> browser", "idle: a job's time -> append"
_PAUSE_S, _STOCK_PAUSE_S = (0.01, 0.03), (0.01, 0.51)
"""Between jobs, at random: a worker that looks now and then is met at any moment. Stock arq looks every half second."""
_AHEAD_S, _EVERY_S = 1.0, 0.017


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 2
    idle: int = 100
    stock_idle: int = 10
    """Of stock arq as it comes, which needs up to half a second for each."""
    due: int = 100
    browsed: int = 1000


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all sides, one after another in each round."""
    if figures.wants(APPEND, BROWSER, DUE):
        figures.say("waiting")
    for _ in range(plan.rounds):
        for queue in QUEUES if figures.wants(APPEND) else ():
            if figures.has(queue.name):
                await figures.attempt(APPEND, queue.name, partial(_append, figures, plan, folder, queue), tries=2)
        for bench, part in ((BROWSER, _browser), (DUE, _due)):
            if figures.wants(bench) and figures.has(TAILRACE):
                await figures.attempt(bench, TAILRACE, partial(part, figures, plan, folder), tries=2)


async def _append(figures: Figures, plan: Plan, folder: Path, queue: Queue) -> None:
    count, pause = (plan.stock_idle, _STOCK_PAUSE_S) if queue.name == ARQ else (plan.idle, _PAUSE_S)
    with with_aof() as server, queue.start(server.url, folder, 1):
        async with producing(queue, server.url) as producer:
            await producer.put(1, 1)
            async with following(folder, server.port, queue.log, await _last(server, queue.log)) as reader:
                waits = []
                for _ in range(count):
                    await asyncio.sleep(random.uniform(*pause))
                    await producer.put(1, 1, 1)
                    waits.append(float(await line(reader)))
    _add(figures, APPEND, queue.name, waits)


async def _due(figures: Figures, plan: Plan, folder: Path) -> None:
    """Enqueue jobs for times to come; the time is in the event."""
    ours = QUEUES[0]
    with with_aof() as server, ours.start(server.url, folder, 1):
        async with Pusher(server.url) as pusher:
            await pusher.push("room:1", 1)
            begin = time.time() + _AHEAD_S
            times = [begin + number * _EVERY_S for number in range(plan.due)]
            after = await _last(server, ours.log)
            await pusher.push_many([Push(to="room:1", data={"t": at}, at=datetime.fromtimestamp(at, UTC)) for at in times], receipt=False)
            async with following(folder, server.port, ours.log, after) as reader:
                late = [float(await line(reader)) for _ in times]
    _add(figures, DUE, TAILRACE, late)


async def _last(server: RedisServer, log: str) -> str:
    """Wait until a log has an entry, and return the last one's id."""
    async with Redis.from_url(server.url) as redis:
        await first(redis, log)
        ((entry_id, _),) = await redis.xrevrange(log, count=1)
        return str(entry_id.decode())


async def _browser(figures: Figures, plan: Plan, folder: Path) -> None:
    with with_aof() as server, Service("edge", "--redis", server.url) as edge, QUEUES[0].start(server.url, folder, 1):
        pin(edge.pid, SERVER)
        async with Pusher(server.url) as pusher:
            port = int(edge.url.rpartition(":")[2])
            async with load(folder, port, "/sse?channel=room:1", 1, events=plan.browsed, seconds=plan.browsed * 0.01 + 10) as client:
                for _ in range(plan.browsed):
                    await pusher.push("room:1", msgspec.Raw(payload()), receipt=False)
                    await asyncio.sleep(0.002)
                counted = await client.counted()
    figures.add(BROWSER, "p50 ms", "", TAILRACE, counted.p50_ms)
    figures.add(BROWSER, "p99 ms", "", TAILRACE, counted.p99_ms)


def _add(figures: Figures, bench: str, side: str, waits: Sequence[float]) -> None:
    figures.add(bench, "p50 ms", "", side, statistics.median(waits))
    figures.add(bench, "p99 ms", "", side, statistics.quantiles(waits, n=100, method="inclusive")[98])
