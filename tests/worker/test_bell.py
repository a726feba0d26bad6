"""The bell, and the command whose answer comes with a ring."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tailrace.worker._bell import LONGEST_S, Bell
from tests.support.wait import wait_until
from tests.worker.support import client

pytestmark = pytest.mark.anyio
KEY = "bell"


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Redis]:
    async with client(any_redis_url) as redis:
        yield redis


@pytest.fixture
async def bell(any_redis_url: str) -> AsyncIterator[Bell]:
    async with client(any_redis_url) as redis:
        bell = Bell(redis, KEY)
        yield bell
        await bell.leave()


async def listened(redis: Redis) -> None:
    """Wait until somebody waits for the bell."""

    async def blocked() -> bool:
        return int((await redis.info("clients"))["blocked_clients"]) > 0

    await wait_until(blocked)


async def ring(redis: Redis) -> None:
    await listened(redis)
    await redis.rpush(KEY, "1")  # type: ignore[misc]


async def test_a_command_that_goes_behind_runs_at_the_ring(redis: Redis, bell: Bell) -> None:
    assert await bell.wait(0.01, ["GET", "what"]) is None
    await redis.set("what", "came later")
    await ring(redis)
    assert await bell.wait(LONGEST_S, ["GET", "something else"]) == b"came later"
    assert await redis.exists(KEY) == 0


async def test_a_ring_without_a_command_wakes_and_says_nothing(redis: Redis, bell: Bell) -> None:
    waiting = asyncio.create_task(bell.wait(60))
    await ring(redis)
    assert await waiting is None


async def test_what_is_void_is_dropped_once(redis: Redis, bell: Bell) -> None:
    bell.void()  # nothing is on its way, so nothing is dropped
    answers = []
    for void in (False, True, False):
        await bell.wait(0.01, ["INCR", "answers"])
        if void:
            bell.void()
        await ring(redis)
        answers.append(await bell.wait(LONGEST_S))
    assert answers == [1, None, 3]


async def test_who_leaves_takes_no_ring(redis: Redis, bell: Bell) -> None:
    await bell.wait(0.01, ["INCR", "answers"])
    await listened(redis)
    await bell.leave()

    async def nobody() -> bool:
        return int((await redis.info("clients"))["blocked_clients"]) == 0

    await wait_until(nobody)
    await redis.rpush(KEY, "1")  # type: ignore[misc]
    assert await redis.exists("answers") == 0
    assert await redis.llen(KEY) == 1  # type: ignore[misc]


async def test_a_command_that_fails_is_redis_trouble(redis: Redis, bell: Bell) -> None:
    waiting = asyncio.create_task(bell.wait(60, ["EVALSHA", "0" * 40, 0]))
    await ring(redis)
    with pytest.raises(RedisError):
        await waiting
