"""Queues that are given up, shared out, or dropped by a fault: the next holder has them soon."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tailrace.push import Pusher
from tailrace.queue import Queue, QueueLimits, TakenJob
from tailrace.worker.calls._arq_settings import load
from tailrace.worker.pushes._classify import judge_batch
from tests.support.wait import wait_until
from tests.worker.support import bench, working

pytestmark = pytest.mark.anyio


async def test_several_workers_share_partitions_and_stand_by_for_each_other(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, lease_s=0.5):
        async with working(redis_url, lease_s=0.5):
            await seen.push("a", "room:1")
            await seen.appended(1)
        await seen.push("b", "room:1")
        await seen.appended(2)


async def test_a_lease_that_is_given_up_is_taken_at_once(any_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.worker.pushes._lease._STANDBY_S", 4.0)
    async with bench(any_redis_url) as seen:
        queue = Queue(seen.queues, seen.keys, 0, QueueLimits(lease_ms=60_000))
        grant = await queue.acquire("another")
        assert grant

        async def stands_by() -> bool:
            return int((await seen.queues.info("clients"))["blocked_clients"]) > 0

        async with working(any_redis_url):
            await wait_until(stands_by)
            await seen.push("0", "room:1")
            await queue.release(grant.epoch)
            await seen.appended(1, timeout_s=3)


async def test_who_is_pushed_to_all_the_time_stops_at_once(redis_url: str) -> None:
    async with bench(redis_url) as seen, Pusher(redis_url) as pusher:

        async def push() -> None:
            while True:
                await pusher.push("room:1", 1, receipt=False)

        pushing = asyncio.create_task(push())
        try:
            async with working(redis_url, load(["tests.worker.handlers"]).functions):
                await seen.appended(10)
                begin = time.monotonic()
            assert time.monotonic() - begin < 2
        finally:
            pushing.cancel()
            await asyncio.wait([pushing])


async def test_a_fault_of_ours_costs_a_lease_and_not_the_worker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the loop may be a job's doing; it counts as a death, and at three the job leaves."""

    def poisoned(jobs: Sequence[TakenJob], **facts: Any) -> Any:
        if b"poison" in [job.id for job in jobs] and facts["deaths"] < 3:
            raise ZeroDivisionError
        return judge_batch(jobs, **facts)

    monkeypatch.setattr("tailrace.worker.pushes._pipeline.judge_batch", poisoned)
    async with bench(redis_url) as seen, working(redis_url, lease_s=0.5):
        for job in ("before", "poison", "after"):
            await seen.push(job, "room:1")
        assert [letter.job for letter in await seen.dead(1, timeout_s=10)] == ["poison"]
        await seen.appended(2)
        assert await seen.jobs("room:1") == ["before", "after"]
