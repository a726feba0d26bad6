"""How the edge grows: with channels, with entries that aren't for its clients, and what each further edge costs Redis."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
from redis.asyncio import Redis

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys
from tests.benchmarks._figures import Figures
from tests.benchmarks._load import load
from tests.benchmarks._process import GENERATOR, SERVER, cpu_s, pin, rss_kb
from tests.benchmarks._sides import EDGE, frames
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service

CHANNELS, PASS, READERS = "channels, each event for one client", "entries that nobody here asks for", "edges that read one log"
_KEYS = Keys("tailrace")
_MOST_CLIENTS = 1000
_BATCH, _EVERY_S = 50, 0.025
_SETTLE_S, _PATIENCE_S = 0.5, 20
_STRIDE = 7919  # a prime: one event after another goes to another client


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    channels: tuple[int, ...] = (1, 1000, 10_000, 100_000)
    events: int = 2000
    rate: float = 1000
    """Events a second."""
    passed: int = 100_000
    passes: int = 1
    """In each round."""
    readers: tuple[int, ...] = (1, 16, 64)
    read_s: float = 1.5


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all, round by round."""
    for number in range(plan.rounds):
        if figures.wants(CHANNELS, PASS, READERS):
            figures.say(f"growth, round {number + 1} of {plan.rounds}")
        for channels in plan.channels if figures.wants(CHANNELS) else ():
            await figures.attempt(_counted(channels, "channel"), EDGE, partial(_channels, figures, plan, folder, channels))
        if figures.wants(PASS):
            await figures.attempt(PASS, EDGE, partial(_pass_over, figures, plan))
        for readers in plan.readers if figures.wants(READERS) else ():
            await figures.attempt(_counted(readers, "edge"), "Valkey", partial(_read, figures, plan, readers))


@asynccontextmanager
async def _written(url: str) -> AsyncIterator[LogWriter]:
    client = connect(url)
    try:
        yield LogWriter(client, _KEYS, 0)
    finally:
        await client.aclose()


async def _channels(figures: Figures, plan: Plan, folder: Path, channels: int) -> None:
    """Push to one of many channels at a time, each with one client; at most 1,000 clients have them all."""
    clients, size = min(channels, _MOST_CLIENTS), _counted(channels, "channel")
    events = plan.events // clients
    with RedisServer() as redis, Service("edge", "--redis", redis.url) as edge:
        pin(redis.pid, GENERATOR)
        pin(edge.pid, SERVER)
        port = int(edge.url.rpartition(":")[2])
        async with _written(redis.url) as writer:
            empty, fresh = await _memory(redis.url), rss_kb(edge.pid)
            async with load(folder, port, "/sse", clients, events=events, channels=channels // clients) as running:
                await asyncio.sleep(_SETTLE_S)
                if clients == _MOST_CLIENTS:  # fewer would bear what the first one brings
                    figures.add(CHANNELS, "RSS KB/client", size, EDGE, (rss_kb(edge.pid) - fresh) / clients)
                    figures.add(CHANNELS, "Redis' bytes/client", size, EDGE, (await _memory(redis.url) - empty) / clients)
                before = cpu_s(edge.pid)
                await _one_by_one(writer, events * clients, channels, plan.rate)
                counted = await running.counted()
                used = cpu_s(edge.pid) - before
    figures.add(CHANNELS, "CPU us/delivery", size, EDGE, used / max(counted.events, 1) * 1e6)
    figures.add(CHANNELS, "p99 ms", size, EDGE, counted.p99_ms)


async def _one_by_one(writer: LogWriter, count: int, channels: int, rate: float) -> None:
    due = time.monotonic()
    for number in range(count):
        await writer.append([NewEvent("0", f"c{number * _STRIDE % channels}", frames())])
        due += 1 / rate
        await asyncio.sleep(max(0, due - time.monotonic()))


async def _memory(url: str) -> int:
    async with Redis.from_url(url) as client:
        return int((await client.info("memory"))["used_memory"])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number > 1 else "")


async def _pass_over(figures: Figures, plan: Plan) -> None:
    """Stop an edge, append, and let it go on: how fast it goes through what no subscriber of its own wants."""
    port = free_port()
    with RedisServer() as redis, Service("edge", "--redis", redis.url, "--metrics-port", str(port)) as edge:
        pin(redis.pid, GENERATOR)
        pin(edge.pid, SERVER)
        async with _written(redis.url) as writer, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for number in range(1, plan.passes + 1):
                os.kill(edge.pid, signal.SIGSTOP)
                for start in range(0, plan.passed, 100):
                    await writer.append([NewEvent("0", f"room:{(start + index) % 1000}", frames()) for index in range(100)])
                elapsed, used = await _catching_up(edge.pid, http, plan.passed * number)
                figures.add(PASS, "entries/s", "1,000 channels", EDGE, plan.passed / elapsed)
                figures.add(PASS, "entries per CPU second", "1,000 channels", EDGE, plan.passed / used)


async def _catching_up(edge: int, http: httpx.AsyncClient, count: int) -> tuple[float, float]:
    """Let a stopped edge go on until it has seen so many entries; return the seconds and the CPU seconds that it took."""
    before, begun = cpu_s(edge), time.monotonic()
    os.kill(edge, signal.SIGCONT)
    while (seen := await _events(http)) < count:
        if time.monotonic() > begun + _PATIENCE_S:
            raise RuntimeError(f"the edge has seen {seen:,} of {count:,} entries")
        await asyncio.sleep(0.02)
    return time.monotonic() - begun, cpu_s(edge) - before


async def _events(http: httpx.AsyncClient) -> int:
    metrics = (await http.get("/metrics")).text
    return int(metrics.partition("\ntailrace_edge_events_total ")[2].split()[0])


async def _read(figures: Figures, plan: Plan, readers: int) -> None:
    """Append with so many readers waiting, each as an edge does: what Redis spends on one event, for all of them."""
    with RedisServer() as redis:
        pin(redis.pid, SERVER)
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(_written(redis.url))
            await writer.append([NewEvent("0", "room:0", frames())])
            following = [asyncio.create_task(_follow(redis.url)) for _ in range(readers)]
            await asyncio.sleep(_SETTLE_S)
            before, begun = cpu_s(redis.pid), time.monotonic()
            batches = round(plan.read_s / _EVERY_S)
            for number in range(batches):
                await writer.append([NewEvent("0", f"room:{number * _BATCH + index}", frames()) for index in range(_BATCH)])
                await asyncio.sleep(max(0, begun + (number + 1) * _EVERY_S - time.monotonic()))
            used = cpu_s(redis.pid) - before
            for task in following:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    figures.add(READERS, "Redis' CPU us/event", _counted(readers, "edge"), "Valkey", used / (batches * _BATCH) * 1e6)


async def _follow(url: str) -> None:
    async with Redis.from_url(url, socket_timeout=None) as client:
        last = "$"
        while True:
            for _, entries in await client.xread({_KEYS.log(0): last}, count=512, block=5000):
                last = entries[-1][0]
