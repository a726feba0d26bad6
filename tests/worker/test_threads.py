"""Threads of calls that were given up: Python can't end them, so they count."""

import logging
import threading

import pytest

from tailrace.wire import JobState
from tailrace.worker.calls._arq_settings import load
from tests.support.wait import wait_until
from tests.worker.support import bench, payload, working

pytestmark = pytest.mark.anyio
FUNCTIONS = load(["tests.worker.handlers"]).functions
CALLS = "tailrace:calls"


def threads() -> int:
    return sum(each.name == "tailrace-call" for each in threading.enumerate())


async def test_threads_of_calls_that_took_too_long_count_until_they_end(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    most = 0
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS, max_calls=4, call_timeout_s=0.2):
        for number in range(12):
            await seen.put(f"stays-{number}", payload("stays", {"sender": "x", "at": 1500}), queue=CALLS)
        await seen.put("said", payload("say", {"sender": "x"}, receipt=""), queue=CALLS)

        async def said() -> bool:
            nonlocal most
            most = max(most, threads())
            return bool(await seen.queues.exists(seen.keys.receipt("said")))

        await wait_until(said, 20)
        assert (await seen.receipt("said")).state == JobState.APPENDED
        assert len(await seen.dead(12)) == 12
    assert most == 4
    assert "4 threads of calls" in caplog.text
    assert "takes calls again" in caplog.text
    await wait_until(lambda: threads() == 0)


async def test_a_thread_that_ends_in_time_takes_no_place(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS, max_calls=1):
        for number in range(20):
            await seen.put(f"stays-{number}", payload("stays", {"sender": "x", "at": 1}, receipt=""), queue=CALLS)
        assert (await seen.receipt("stays-19")).state == JobState.APPENDED
