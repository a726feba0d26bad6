"""Scheduled pushes: how long after their time they are appended."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from tailrace.push import Pusher
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.ingest_load import recording, share
from tests.prove.ingest_pair import Data
from tests.prove.steps import Say, steps
from tests.support.redis import RedisServer
from tests.support.service import Service

_CHANNEL = "room:due"
_A_SECOND, _PUSHED_A_SECOND = 20, 200
_SAY_EVERY = 100
_MOST_MS, _ENOUGH = 20.0, 1000
"""How late the latest of a hundred may be, beyond what a timer of ours is at the same times; few don't tell that."""
_QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


async def _run(plan: Plan, say: Say) -> None:
    dice = plan.dice()
    with RedisServer() as server, Service("worker", "--redis", server.url, "--poll-ms", "5000"):
        async with Pusher(server.url, timeout_s=PATIENCE_S) as pusher, recording(server.url) as recorder:
            start = time.time() + 1 + plan.amount / _PUSHED_A_SECOND
            due = sorted(start + dice.random() * plan.amount / _A_SECOND for _ in range(plan.amount))
            for number, at in enumerate(due):
                await pusher.push(_CHANNEL, Data(number), at=datetime.fromtimestamp(at, UTC), stamp=False, receipt=False)
            timer = asyncio.create_task(_timer(due))
            for done in range(0, plan.amount, _SAY_EVERY):
                part = min(_SAY_EVERY, plan.amount - done)
                await recorder.until(done + part)
                say(Count(done=part))
            seen, own = recorder.seen[_CHANNEL], await timer
            late = [at_ms - due[number] * 1000 for number, at_ms in zip(seen, recorder.times, strict=True)]
            figures: dict[str, float | str] = {f"late, {name} ms": round(share(late, part), 1) for name, part in _QUANTILES.items()}
            figures["a timer in this process at the same times, p99 ms"] = round(share(own, 0.99), 1)
            wrong = len(late) >= _ENOUGH and share(late, 0.99) > _MOST_MS + share(own, 0.99)
            early = sum(ms < -1 for ms in late)  # an id is the millisecond that has begun
            gone = plan.amount - len(set(seen))
            say(Count(lost=gone, doubled=len(seen) - len(set(seen)), other=int(wrong) + early, figures=figures))


async def _timer(due: Sequence[float]) -> list[float]:
    """Say how late this process itself wakes up."""
    late = []
    for at in due:
        await asyncio.sleep(at - time.time())
        late.append((time.time() - at) * 1000)
    return late


TRIALS = (
    Trial(
        name="due",
        does="a scheduled push, 20 a second at times by chance, is appended within 20 ms of its time (99 % of them, beyond what a timer in "
        "the trial itself is late), and never before",
        unit="pushes",
        full=2000,
        few=20,
        minutes=2,
        run=lambda plan: steps(partial(_run, plan)),
        looks_for=("lost", "doubled", "other"),
    ),
)
