"""Asking Redis until it answers."""

import asyncio
import logging

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError, OutOfMemoryError

from tailrace.worker._retry import Retrier
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


async def test_a_request_is_repeated_until_it_is_answered_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    troubles = [RedisConnectionError("gone"), OutOfMemoryError("full"), TimeoutError()]

    async def request() -> str:
        if troubles:
            raise troubles.pop(0)
        return "answer"

    with caplog.at_level(logging.INFO):
        assert await Retrier("Redis").run(request) == "answer"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "waiting for Redis: ConnectionError: gone"),
        ("INFO", "Redis is reachable again"),
    ]


@pytest.mark.parametrize("fault", [ZeroDivisionError, RuntimeError, AttributeError])
async def test_our_own_faults_are_raised_at_once(fault: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    async def request() -> None:
        raise fault

    with caplog.at_level(logging.INFO), pytest.raises(fault):
        await asyncio.wait_for(Retrier("Redis").run(request), 5)
    assert caplog.records == []


async def test_a_wait_that_is_given_up_is_not_said_to_be_over(caplog: pytest.LogCaptureFixture) -> None:
    async def request() -> None:
        raise RedisConnectionError("gone")

    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(Retrier("Redis").run(request))
        await wait_until(lambda: caplog.records)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [record.getMessage() for record in caplog.records] == ["waiting for Redis: ConnectionError: gone"]


async def test_a_cancellation_that_redis_py_swallows_is_heeded() -> None:
    begun = asyncio.Event()

    async def request() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"
        return "slept"

    task = asyncio.create_task(Retrier("Redis").run(request))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
