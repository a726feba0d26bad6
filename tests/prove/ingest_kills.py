"""Workers are killed at random under load."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from anyio.lowlevel import checkpoint

from tailrace.push import Pusher
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.ingest_load import Recorder, SteadyLoad, recording, share
from tests.prove.steps import Say, steps
from tests.support.redis import RedisServer
from tests.support.service import Service

_AOF = ("--appendonly", "yes", "--appendfsync", "everysec")
_QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
_HOLDER = 0.8
"""How often it is the one that holds the queue that is killed."""
_MOST_MS, _ENOUGH = 3000, 100
"""How long the line may stand still, and of how many times 99 % have to keep to that."""


@asynccontextmanager
async def fleet(count: int, url: str, *arguments: str) -> AsyncIterator[list[Service]]:
    """Run several workers."""
    workers = [Service("worker", "--redis", url, *arguments) for _ in range(count)]
    async with AsyncExitStack() as stack:
        await asyncio.gather(*[asyncio.to_thread(worker.start) for worker in workers])
        for worker in workers:
            stack.callback(worker.__exit__)
        yield workers


def holder(workers: Sequence[Service]) -> int:
    """Find who holds the queue: the last that said so."""
    said = [worker.stderr.rpartition('"message":"holding queue')[0].rpartition('"time":"')[2][:40] for worker in workers]
    return said.index(max(said))


class Hunt:
    """Kills workers, and starts them again."""

    def __init__(self, workers: list[Service], chance: random.Random) -> None:
        self._workers, self._chance = workers, chance
        self._starting: dict[int, asyncio.Task[None]] = {}
        self.holders: list[float] = []
        """When holders were killed, in Unix milliseconds."""
        self.kills = 0

    async def kill(self) -> None:
        """Kill one; the last that are left alive aren't asked, but waited for."""
        await checkpoint()  # so that load and workers run, however often this is called
        held = holder(self._workers)
        victim = held if self._chance.random() < _HOLDER else self._chance.randrange(len(self._workers))
        if victim in self._starting:
            await self._starting[victim]
        now = time.time() * 1000
        await asyncio.to_thread(self._workers[victim].kill)
        self.kills += 1
        if victim == held:
            self.holders.append(now)
        self._starting[victim] = asyncio.create_task(asyncio.to_thread(self._workers[victim].start))

    async def end(self) -> None:
        """Wait until all run."""
        await asyncio.gather(*self._starting.values())

    def found(self, load: SteadyLoad, recorder: Recorder) -> Count:
        """Sum up what came of it all."""
        kills: dict[str, float | str] = {"kills": self.kills, "of these, of the one that held the queue": len(self.holders)}
        return load.judge(recorder.seen) + Count(figures={"pushes": load.total, **kills})

    def pauses(self, recorder: Recorder) -> Count:
        """Say how long the line stood still each time; who is killed before it has moved anything prolongs no pause but its own."""
        following = zip(self.holders, [*self.holders[1:], math.inf], strict=True)
        pauses = [pause for at, then in following if at + (pause := recorder.pause_ms(at)) < then]
        figures: dict[str, float | str] = {
            f"redelivery: a kill to the next event, {name} ms": share(pauses, part) for name, part in _QUANTILES.items()
        }
        return Count(other=int(len(pauses) >= _ENOUGH and share(pauses, 0.99) > _MOST_MS), figures=figures)


async def _random(plan: Plan, say: Say) -> None:
    """Kill one of 4 workers after another under 500 pushes/s on 50 channels, until so many that held the queue have died."""
    with RedisServer("valkey", *_AOF) as redis:
        async with (
            fleet(4, redis.url, "--shards", "2") as workers,
            recording(redis.url, 2) as recorder,
            Pusher(redis.url, timeout_s=PATIENCE_S) as pusher,
        ):
            load, hunt, dice = SteadyLoad(pusher, 50, 500), Hunt(workers, plan.dice()), plan.dice()
            pushing = asyncio.create_task(load.run())
            await recorder.until(500)
            while len(hunt.holders) < plan.amount:
                before = len(hunt.holders)
                await hunt.kill()
                say(Count(done=len(hunt.holders) - before))
                await asyncio.sleep(2.3 + dice.random())  # the lease, and some work
            load.stop()
            await pushing
            await hunt.end()
            await recorder.until(load.total)
            say(hunt.found(load, recorder) + hunt.pauses(recorder))


async def _inversions(plan: Plan, say: Say) -> None:
    """Kill workers at random, of 8 on 4 partitions, until so many pushes are appended."""
    flags = ("--shards", "2", "--partitions", "4", "--lease-s", "0.5")
    with RedisServer("valkey", *_AOF) as redis:
        async with (
            fleet(8, redis.url, *flags) as workers,
            recording(redis.url, 2) as recorder,
            Pusher(redis.url, partitions=4, timeout_s=PATIENCE_S) as pusher,
        ):
            load, hunt, dice, shown = SteadyLoad(pusher, 200, 2000), Hunt(workers, plan.dice()), plan.dice(), 0
            pushing = asyncio.create_task(load.run(plan.amount))
            while not pushing.done():
                await asyncio.sleep(dice.random() * 1.5)
                await hunt.kill()
                say(Count(done=len(recorder.times) - shown))
                shown = len(recorder.times)
            await pushing
            await hunt.end()
            await recorder.until(load.total)
            say(hunt.found(load, recorder) + Count(done=len(recorder.times) - shown))


_SEEN = ("lost", "doubled", "reordered")
TRIALS = (
    Trial(
        name="random-kills",
        does="the worker that holds the queue is killed at any time, others beside it; 4 workers, 500 pushes/s on 50 channels, 2 shards; "
        "the line moves again within 3 s",
        unit="kills",
        full=300,
        few=1,
        minutes=18,
        run=lambda plan: steps(partial(_random, plan)),
        looks_for=(*_SEEN, "other"),
    ),
    Trial(
        name="inversions",
        does="a push is appended while 8 workers on 4 partitions are killed at random, 2,000 pushes/s on 200 channels",
        unit="pushes",
        full=100_000,
        few=3000,
        minutes=2,
        run=lambda plan: steps(partial(_inversions, plan)),
        looks_for=_SEEN,
    ),
)
