"""A scheduled function that emits a sample only while someone listens."""

import asyncio
import socket
import time
from typing import Any

import msgspec
from redis.asyncio import Redis

from tailrace.demo._gauges import cpu_percent, memory, read_cpu
from tailrace.events import Registry
from tailrace.wire import ALL, Keys
from tailrace.worker import Event, every

CHANNEL = "dashboard"


class Sample(msgspec.Struct, frozen=True):
    """The state of the machine; None for what this system doesn't report."""

    host: str
    cpu: float | None
    """Per cent of all cores, since the previous sample."""
    memory: float | None
    """Bytes in use."""
    memory_total: float | None
    events: float
    """Events per second in all logs, since the previous sample."""
    clients: int
    """Clients connected to all edges together."""


class _Before:
    """The previous run's readings, for the difference to the next."""

    cpu = read_cpu()
    at = time.monotonic()
    appended = -1


@every(1)
async def machine(ctx: dict[str, Any]) -> Event | None:
    """Take a sample, and emit it if anyone is in the channel."""
    logs, keys = ctx["logs"], ctx["keys"]
    clients, watchers = await Registry(logs, keys).recipients([ALL, CHANNEL])
    appended = await _appended(logs, keys, ctx["shards"])
    sample = await asyncio.to_thread(_sample, appended, clients)  # reading /proc can block
    return Event(CHANNEL, sample, event="machine") if watchers > 0 else None


def _sample(appended: int, clients: int) -> Sample:
    now, cpu = time.monotonic(), read_cpu()
    known = _Before.appended >= 0
    rate = (appended - _Before.appended) / max(now - _Before.at, 0.001) if known else 0.0
    used, total = memory()
    percent = cpu_percent(_Before.cpu, cpu)
    _Before.cpu, _Before.at, _Before.appended = cpu, now, appended
    return Sample(socket.gethostname(), percent, used, total, round(max(rate, 0.0), 1), clients)


async def _appended(logs: Redis, keys: Keys, shards: int) -> int:
    """Return how many events were ever appended to all logs."""
    count = 0
    for shard in range(shards):
        if await logs.exists(keys.log(shard)):
            count += int((await logs.xinfo_stream(keys.log(shard)))["entries-added"])
    return count
