"""What a queue's workers do meanwhile: how fast the log grows, and what that costs."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tests.benchmarks._process import cpu_s

_LOOK_S, _START_S = 0.02, 20.0
_OURS = {"xinfo|stream", "info", "hello", "client|setinfo", "config|get", "ping", "select"}
"""Commands that this benchmark sends, or that come with a connection."""


class Used(NamedTuple):
    workers_s: float
    """CPU time, as Redis' own."""
    redis_s: float
    commands: int
    """That Redis has run, scripts' included."""
    requests: int
    """That it has read from its clients' sockets."""


async def used(redis: "Redis", server: int, workers: Sequence[int]) -> Used:
    stats = await redis.info("commandstats")
    run = sum(each["calls"] for name, each in stats.items() if name.removeprefix("cmdstat_") not in _OURS)
    reads = (await redis.info("stats"))["total_reads_processed"]
    return Used(sum(map(cpu_s, workers)), cpu_s(server), run, reads)


class Seen(NamedTuple):
    events: int
    rate: float
    """Events a second in the middle."""
    looks: int


async def appended(redis: "Redis", log: str, count: int, seconds: float) -> Seen:
    """Watch a log grow until all is there or the time is over."""
    seen: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while not (seen and seen[-1][1] >= count) and time.monotonic() < end:
        seen.append((time.monotonic(), await _added(redis, log)))
        await asyncio.sleep(_LOOK_S)
    return Seen(seen[-1][1], _rate(seen), len(seen))


async def first(redis: "Redis", log: str) -> int:
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
