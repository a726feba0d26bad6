"""How soon a worker finds a job: by the bell, and without it."""

import random
import time

import pytest

from tests.support.wait import wait_until
from tests.worker.support import bench, working

pytestmark = pytest.mark.anyio


async def test_jobs_that_ring_no_bell_are_found_soon_on_an_idle_redis(redis_url: str) -> None:
    """An idle Redis looks only ten times a second at whether a blocked command has waited long enough."""
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("first", "room:0")
        await seen.appended(1)
        start_ms = time.time() * 1000 + 100
        due_ms = [start_ms + 53 * number for number in range(20)]
        for number, due in enumerate(due_ms):
            await seen.push(str(number), "room:1", due_ms=due)
        await wait_until(lambda: time.time() * 1000 > due_ms[-1] + 200)  # and Redis is left alone
        late_ms = [(entry.id >> 64) - due for entry, due in zip((await seen.appended(21))[1:], due_ms, strict=True)]
        assert sorted(late_ms)[10] < 20
        assert min(late_ms) > -2


async def test_the_bell_wakes_the_worker(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, poll_ms=2000):
        await seen.push("a", "room:1")
        await seen.queues.rpush("tailrace:bell:0", "1")  # type: ignore[misc]
        await seen.appended(1, timeout_s=1)


async def test_after_a_full_batch_a_worker_doesnt_wait(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, poll_ms=60_000, batch_jobs=4):
        for number in range(400):
            await seen.push(str(number), f"room:{number % 7}")
        await seen.queues.rpush("tailrace:bell:0", "1")  # type: ignore[misc]
        await seen.appended(400)


async def test_what_is_found_without_a_ring_and_at_one_comes_once(redis_url: str) -> None:
    """A take waits behind the bell, while others look for what didn't ring; some rings come while what those found is in hand."""
    chance = random.Random(3)
    async with bench(redis_url, 2) as seen, working(redis_url, shards=2, poll_ms=2):
        for number in range(400):
            await seen.push(str(number), f"room:{number % 3}", {"job": number})
            if chance.random() < 0.5:
                for _ in range(chance.randrange(8)):
                    await seen.queues.ping()
                await seen.queues.rpush("tailrace:bell:0", "1")  # type: ignore[misc]
        await seen.appended(400)
        await seen.idle()
        assert [await seen.jobs(f"room:{room}") for room in range(3)] == [list(range(room, 400, 3)) for room in range(3)]
