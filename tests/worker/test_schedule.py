"""Functions that run by themselves."""

from typing import Any

import pytest

from tailrace.wire import PushError, SetupError
from tailrace.worker import Event, every
from tailrace.worker.calls._functions import Function, read_argument
from tailrace.worker.calls._schedule import cron_jobs
from tests.support.wait import wait_until
from tests.worker.support import bench, payload, working


@every(1)
async def tick() -> Event:
    return Event("clock", {"job": "tick"})


@every(300)
def seldom(ctx: dict[str, Any]) -> Event:
    return Event("clock", {"job": str(ctx["job_id"])})


def marked(call: Any) -> Function:
    found: Function = call.__tailrace_function__
    return found


FUNCTIONS = {"tick": marked(tick), "seldom": marked(seldom)}


@pytest.mark.anyio
async def test_they_run_once_for_all_workers(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS), working(redis_url, FUNCTIONS):
        entries = await seen.appended(4)
        seconds = [(entry.id >> 64) // 1000 for entry in entries if b"tick" in entry.block]
        assert len(set(seconds)) == len(seconds)
        assert await seen.queues.exists(seen.keys.dead()) == 0


@pytest.mark.anyio
async def test_they_can_be_called_like_any_other(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, {"seldom": marked(seldom)}):
        await seen.put("by hand", payload("seldom"), queue="tailrace:calls")
        await wait_until(lambda: _has(seen.jobs("clock"), "by hand"))


async def _has(jobs: Any, job: str) -> bool:
    return job in await jobs


def test_when_they_run() -> None:
    by_name = {job.name: job for job in cron_jobs(FUNCTIONS)}
    assert (by_name["tick"].second, by_name["tick"].minute) == (set(range(60)), None)
    assert (by_name["seldom"].second, by_name["seldom"].minute) == (0, set(range(0, 60, 5)))


@pytest.mark.parametrize("seconds", [0, -1, 7, 45, 90, 420, 7200])
def test_seconds_that_no_clock_shows(seconds: int) -> None:
    with pytest.raises(SetupError, match="divide"):
        every(seconds)


def test_they_take_nothing() -> None:
    def greedy(message: str) -> None: ...

    with pytest.raises(SetupError, match="nothing but `ctx`"):
        every(1)(greedy)
    with pytest.raises(PushError):
        read_argument(FUNCTIONS["tick"], [b'"more"'], {})
