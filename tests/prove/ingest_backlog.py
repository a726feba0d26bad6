"""A queue that no worker serves for a while, and how it is drained."""

import time
from functools import partial

from redis.asyncio import Redis

from tailrace.push import Pusher
from tailrace.redis import connect
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.ingest_hostile import rss_mb
from tests.prove.ingest_load import SteadyLoad, recording
from tests.prove.steps import Say, steps
from tests.support.redis import RedisServer
from tests.support.service import Service

_RATE = 500
_SAY_EVERY = 2500


async def _run(plan: Plan, say: Say) -> None:
    with RedisServer("valkey", "--appendonly", "yes", "--appendfsync", "everysec") as server:
        async with (
            Pusher(server.url, timeout_s=PATIENCE_S) as pusher,
            connect(server.url, timeout_s=PATIENCE_S) as redis,
            recording(server.url) as recorder,
        ):
            before = await _used(redis)
            load = SteadyLoad(pusher, 100, _RATE)
            for start in range(0, plan.amount, _SAY_EVERY):
                most = min(_SAY_EVERY, plan.amount - start)
                await load.run(most)
                say(Count(done=most))
            queued = await _used(redis)
            with Service("worker", "--redis", server.url, "--log-level", "error") as worker:
                began = time.monotonic()
                await recorder.until(plan.amount)
                took_s = time.monotonic() - began
                ended, memory = worker.returncode is not None, rss_mb(worker.pid)
            figures: dict[str, float | str] = {
                "bytes of Redis for a job that waits": (queued - before) / plan.amount,
                "Redis with all of them, MB": queued / 1e6,
                "drained, jobs/s": plan.amount / took_s,
                "worker's RSS after it, MB": memory,
            }
            say(load.judge(recorder.seen) + Count(other=int(ended), figures=figures))


async def _used(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


TRIALS = (
    Trial(
        name="backlog",
        does="a push waits in a queue that no worker serves, 500/s on 100 channels (the full run: for 10 minutes), which is then drained",
        unit="pushes",
        full=300_000,
        few=1000,
        minutes=11,
        run=lambda plan: steps(partial(_run, plan)),
        looks_for=("lost", "doubled", "reordered", "other"),
    ),
)
