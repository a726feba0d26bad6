"""Thousands of clients at once: an edge is killed, and all reconnect to another; an edge drains, and they come back spread."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from tailrace.redis import connect
from tailrace.service import raise_file_limit
from tests.prove.frame import FAULTS, PATIENCE_S, Count, Plan, Trial
from tests.prove.load import Crowd, Pushing
from tests.prove.site import Site, running, together
from tests.support.service import Service
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until

_ROOM = "room:1"
_RATE = 5.0
_MOST_AFTER_A_KILL, _MOST_IN_A_DRAIN = 5000, 2000
_BACK_S = 120
_GRACE_S, _MOST_PEAK = 2, 2


async def kills(plan: Plan) -> AsyncIterator[Count]:
    """All clients are at one of two edges, which is killed; then at the other, which is killed; and so on."""
    size = min(plan.amount, _MOST_AFTER_A_KILL)
    async with _crowded(size, away=_at_once) as (site, crowd), connect(site.redis.url, timeout_s=PATIENCE_S) as redis:
        for turn in range(plan.amount // size):
            victim = await _next(site, turn)
            reads, began = await _history_reads(redis), time.monotonic()
            await asyncio.to_thread(victim.kill)
            await _all_connected(crowd, turn + 2)
            took_s = time.monotonic() - began
            figures: dict[str, float | str] = {
                "clients at once": size,
                "s until all were back": round(took_s, 2),
                "reconnects/s, with the clients in one process of Python": round(size / took_s),
                "histories read in Redis for them": await _history_reads(redis) - reads,
            }
            yield await crowd.settled() + Count(done=size, figures=figures)


async def drains(plan: Plan) -> AsyncIterator[Count]:
    """All clients are at one of two edges, which gets SIGTERM; they come back when they were told to."""
    size = min(plan.amount, _MOST_IN_A_DRAIN)
    drain_s = max(3, 20 * size // _MOST_IN_A_DRAIN)
    async with _crowded(size, "--drain-s", str(drain_s), away=_as_told) as (site, crowd):
        for turn in range(plan.amount // size):
            leaving = await _next(site, turn)
            began = time.monotonic()
            status = await asyncio.to_thread(leaving.terminate)
            exit_s = time.monotonic() - began
            await _all_connected(crowd, turn + 2)
            peak = _peak([client.since for client in crowd.clients])
            figures: dict[str, float | str] = {
                "clients at once": size,
                "asked to end in s": drain_s,
                "ended in s": round(exit_s, 1),
                "most reconnects in a second / mean": round(peak, 2),
                "were told by a `drain` event": sum([client.drained > turn for client in crowd.clients]),
            }
            wrong = [status != 0, exit_s > drain_s + _GRACE_S, peak > _MOST_PEAK]
            yield await crowd.settled() + Count(done=size, other=sum(wrong), figures=figures)


def _peak(times: Sequence[float]) -> float:
    """Divide the reconnects of the fullest second by the mean of all seconds from the first to the last."""
    first, span_s = min(times), max(times) - min(times)
    seconds = Counter(int(at - first) for at in times)
    return max(seconds.values()) / (len(times) / max(span_s, 1))


@asynccontextmanager
async def _crowded(size: int, *flags: str, away: Callable[[int], float]) -> AsyncIterator[tuple[Site, Crowd]]:
    """Run two edges, and a load, with all clients at the first."""
    raise_file_limit()
    async with running(edges=flags, count=2) as site:
        pushing = Pushing(site.redis.url, [_ROOM], _RATE, filler_every=0)
        clients = [SteadyClient(site.edges, [_ROOM], owed=pushing.owed, away_s=away) for _ in range(size)]
        crowd = Crowd(clients, pushing.accepted)
        async with together(*[client.run for client in clients], pushing.run):
            await _all_connected(crowd, 1)
            await wait_until(lambda: pushing.count > 3, PATIENCE_S)
            yield site, crowd
            pushing.stop()


async def _next(site: Site, turn: int) -> Service:
    """Give the edge where all clients are, once the other one is there again."""
    here, other = site.edges[turn % 2], site.edges[1 - turn % 2]
    if other.returncode is not None:
        await asyncio.to_thread(other.start)
    return here


async def _all_connected(crowd: Crowd, times: int) -> None:
    await wait_until(lambda: all(client.connects >= times for client in crowd.clients), _BACK_S)


async def _history_reads(redis: Redis) -> int:
    """Count ranges that were read, by scripts too."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_xrange", {}).get("calls", 0))


def _at_once(_: int) -> float:
    return 0.02


def _as_told(retry_ms: int) -> float:
    return retry_ms / 1000


TRIALS = (
    Trial(
        name="reconnects",
        does="an edge with 5,000 clients is killed; all come at once to another, which has what they missed in its ring",
        unit="reconnects",
        full=25_000,
        few=200,
        minutes=4,
        run=kills,
        looks_for=FAULTS,
    ),
    Trial(
        name="drains",
        does="an edge with 2,000 clients drains (SIGTERM) in the asked time; all come back elsewhere, at most twice the mean at once",
        unit="reconnects",
        full=10_000,
        few=100,
        minutes=4,
        run=drains,
        looks_for=FAULTS,
    ),
)
