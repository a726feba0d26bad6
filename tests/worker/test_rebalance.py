"""Several partitions are shared out among the workers that live."""

import asyncio

import pytest

from tailrace.wire import Keys
from tailrace.worker.pushes._rebalance import Rebalancer
from tests.support.service import Service
from tests.support.wait import wait_until, wait_until_sync
from tests.worker.support import client

KEYS = Keys()
FLAGS = ("--partitions", "4", "--lease-s", "0.5")


def holders(workers: list[Service]) -> list[int]:
    """Count the queues that each worker holds, by what it says."""
    return [worker.stderr.count('"message":"holding queue') - worker.stderr.count('"message":"gave up queue') for worker in workers]


def test_a_worker_that_comes_later_gets_its_share_and_leaves_it_to_others(redis_url: str) -> None:
    with Service("worker", "--redis", redis_url, *FLAGS) as first:
        wait_until_sync(lambda: holders([first]) == [4])
        with Service("worker", "--redis", redis_url, *FLAGS) as second:
            wait_until_sync(lambda: holders([first, second]) == [2, 2], 10)
            second.terminate()
            wait_until_sync(lambda: holders([first]) == [4], 10)


@pytest.mark.anyio
async def test_who_is_alone_gives_up_nothing(redis_url: str) -> None:
    seen, stopping = client(redis_url), asyncio.Event()
    share = Rebalancer(seen, KEYS, "me", stopping)
    with share.holding(0) as first, share.holding(1) as second:
        await share._look()
        await share._look()
        assert (await seen.get(KEYS.wanted()), first.is_set(), second.is_set()) == (b"me 2", False, False)
        await seen.set(KEYS.wanted(), "other 1")
        await share._look()
        assert not second.is_set()
        await seen.set(KEYS.wanted(), "other 0")
        await share._look()
        await share._look()
        assert (first.is_set(), second.is_set()) == (False, True)
    await seen.aclose()


@pytest.mark.anyio
async def test_what_a_later_version_adds_to_a_wish_is_ignored(redis_url: str) -> None:
    seen, stopping = client(redis_url), asyncio.Event()
    share = Rebalancer(seen, KEYS, "me", stopping)
    with share.holding(0), share.holding(1) as second:
        await seen.set(KEYS.wanted(), "other 0 later")
        await share._look()
        assert second.is_set()
    await seen.aclose()


@pytest.mark.anyio
async def test_who_stops_wants_no_queue(redis_url: str) -> None:
    seen, stopping = client(redis_url), asyncio.Event()
    balancing = asyncio.create_task(Rebalancer(seen, KEYS, "me", stopping).balance())
    await wait_until(lambda: seen.getdel(KEYS.wanted()))
    stopping.set()
    await asyncio.wait_for(balancing, 5)
    await seen.aclose()


@pytest.mark.anyio
async def test_who_holds_fewest_says_so(redis_url: str) -> None:
    seen = client(redis_url)
    await seen.set(KEYS.wanted(), "other 2")
    await Rebalancer(seen, KEYS, "me", asyncio.Event())._look()
    assert await seen.get(KEYS.wanted()) == b"me 0"
    assert 0 < await seen.pttl(KEYS.wanted()) <= 1500
    await seen.aclose()
