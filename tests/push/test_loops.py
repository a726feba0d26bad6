"""One Pusher in several loops and threads, and after it was closed."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import pytest
import redis
from asgiref.sync import async_to_sync

from tailrace.push import BlockingPusher, Pusher
from tests.support.wait import wait_until_sync

SOON_S = 3.0


async def _use(pusher: Pusher, times: int = 3) -> None:
    """Push, and see that each receipt comes at once."""
    for number in range(times):
        began = time.monotonic()
        job = await pusher.push("room:loops", number)
        assert await job.receipt(10) is not None
        assert time.monotonic() - began < SOON_S


def _connections(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return len(client.client_list()) - 1


def test_each_loop_has_connections_of_its_own_and_leaves_none(redis_url: str) -> None:
    pusher = Pusher(redis_url)

    async def use() -> None:
        job = await pusher.push("room:loops", 1)
        assert await job.receipt(0.2) is None
        assert await asyncio.to_thread(_connections, redis_url) >= 2

    for _ in range(3):
        asyncio.run(use())
        wait_until_sync(lambda: _connections(redis_url) == 0)


def test_a_loop_that_ends_with_a_push_on_its_way_leaves_nothing_to_the_next(working_url: str) -> None:
    pusher = Pusher(working_url)

    async def leave_early() -> None:
        asyncio.get_running_loop().create_task(_use(pusher, 100))
        await _use(pusher, 1)

    for _ in range(2):
        asyncio.run(leave_early())
    asyncio.run(_use(pusher))


def test_a_receipt_is_heard_of_in_another_loop_than_the_push(working_url: str) -> None:
    pusher = Pusher(working_url)
    began = time.monotonic()
    job = asyncio.run(pusher.push("room:loops", 1, delay_s=0.5))
    assert asyncio.run(job.receipt(10)) is not None
    assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("closing", [True, False])
def test_threads_with_loops_of_their_own_push_at_the_same_time(working_url: str, closing: bool) -> None:
    pusher, together = Pusher(working_url), threading.Barrier(6)

    async def use() -> None:
        together.wait(10)
        await _use(pusher, 20)
        if closing:
            await pusher.aclose()

    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(asyncio.run, use()) for _ in range(6)]:
            future.result(30)


def test_synchronous_code_may_push_by_async_to_sync(working_url: str) -> None:
    pusher = Pusher(working_url)
    for _ in range(3):
        async_to_sync(_use)(pusher)

    async def from_a_thread_of_a_loop() -> None:
        await _use(pusher)
        await asyncio.to_thread(async_to_sync(_use), pusher)
        await _use(pusher)

    asyncio.run(from_a_thread_of_a_loop())


def test_a_closed_pusher_connects_again(working_url: str) -> None:
    async def use() -> None:
        pusher = Pusher(working_url)
        for _ in range(3):
            async with pusher:
                await _use(pusher)
        pusher.release()
        await pusher.aclose()
        await _use(pusher)
        await pusher.aclose()

    asyncio.run(use())


def test_whoever_waits_for_a_receipt_is_let_go_when_the_pusher_closes(redis_url: str) -> None:
    async def use() -> None:
        async with Pusher(redis_url) as pusher:
            job = await pusher.push("room:loops", 1)
            waiting = asyncio.create_task(job.receipt(30))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(waiting, SOON_S) is None

    asyncio.run(use())


def test_a_pusher_that_was_forgotten_leaves_no_connection(redis_url: str) -> None:
    async def use() -> None:
        await Pusher(redis_url).push("room:loops", 1)
        await asyncio.to_thread(wait_until_sync, lambda: _connections(redis_url) == 0)

    asyncio.run(use())


def test_a_pusher_is_copied_by_what_it_was_made_with(working_url: str) -> None:
    asyncio.run(_use(copy(Pusher(working_url, prefix="tailrace", timeout_s=5))))
    with BlockingPusher(working_url) as original:
        original.push("room:loops", 1)
        with copy(original) as other:
            assert other.push("room:loops", 2).receipt(5) is not None


def test_a_job_outlives_the_connection_that_enqueued_it(working_url: str) -> None:
    pusher = BlockingPusher(working_url)
    job = pusher.push("room:loops", 1)
    pusher.close()
    began = time.monotonic()
    assert job.receipt(10) is not None
    assert time.monotonic() - began < SOON_S
    pusher.close()
