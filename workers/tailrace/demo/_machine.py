"""The dashboard's source: a function that runs by itself, and emits only while somebody listens."""

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
    """How things stand; None where this system doesn't tell."""

    host: str
    cpu: float | None
    """Per cent of all cores, since the sample before."""
    memory: float | None
    """Bytes in use."""
    memory_total: float | None
    events: float
    """Events per second in all logs, since the sample before."""
    clients: int
    """Clients connected to all edges."""


class _Before:
    """What the last run saw; the next one tells the difference."""

    cpu = read_cpu()
    at = time.monotonic()
    appended = -1


@every(1)
async def machine(ctx: dict[str, Any]) -> Event | None:
    """Take a sample, and emit it if somebody is in the channel."""
    logs, keys = ctx["logs"], ctx["keys"]
    clients, watchers = await Registry(logs, keys).recipients([ALL, CHANNEL])
    appended = await _appended(logs, keys, ctx["shards"])
    sample = await asyncio.to_thread(_sample, appended, clients)  # /proc may take its time
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
    """Count the events that were ever appended; 0 where a log doesn't exist yet."""
    count = 0
    for shard in range(shards):
        if await logs.exists(keys.log(shard)):
            count += int((await logs.xinfo_stream(keys.log(shard)))["entries-added"])
    return count
