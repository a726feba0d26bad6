"""Requests over one connection that don't wait for each other's answers."""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError, ResponseError

from tailrace.redis import Pipe, connect
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
_LONG = b"x" * 20_000


async def _asked(pipe: Pipe, redis_url: str) -> list[asyncio.Task[Any]]:
    """Ask for what nobody brings yet, and for something behind it, which Redis then has before it has answered the first."""
    async with connect(redis_url) as other:

        async def read() -> int:
            return int((await other.info("stats"))["total_net_input_bytes"])

        before = await read()
        asked = [asyncio.create_task(pipe.ask("BLPOP", "never", 30)), asyncio.create_task(pipe.ask("ECHO", _LONG))]

        async def both_there() -> bool:
            return await read() > before + len(_LONG)

        await wait_until(both_there)
    return asked


async def test_requests_do_not_wait_for_answers_and_each_gets_its_own(any_redis_url: str) -> None:
    async with connect(any_redis_url) as redis, connect(any_redis_url) as other:
        pipe = Pipe(redis)
        asked = await _asked(pipe, any_redis_url)
        await cast("Awaitable[int]", other.rpush("never", "now"))
        assert await asyncio.gather(*asked) == [[b"never", b"now"], _LONG]
        assert await asyncio.gather(*[pipe.ask("ECHO", str(n)) for n in range(100)]) == [str(n).encode() for n in range(100)]


async def test_what_redis_refuses_is_one_requests_matter(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        pipe = Pipe(redis)
        told = await asyncio.gather(pipe.ask("SET", "text", "a"), pipe.ask("INCR", "text"), pipe.ask("GET", "text"), return_exceptions=True)
        assert isinstance(told[1], ResponseError)
        assert (told[0], told[2]) == (b"OK", b"a")


async def test_a_script_that_redis_does_not_know_is_brought(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        pipe, script = Pipe(redis), redis.register_script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
        await asyncio.gather(*[pipe.run(script, ["list"], [n]) for n in range(5)])
        assert await cast("Awaitable[list[bytes]]", redis.lrange("list", 0, -1)) == [b"0", b"1", b"2", b"3", b"4"]


async def test_where_the_connection_is_cut_all_that_is_on_its_way_fails_and_the_next_request_connects(redis_url: str) -> None:
    async with connect(redis_url) as redis, connect(redis_url) as other:
        pipe = Pipe(redis)
        asked = await _asked(pipe, redis_url)
        await other.client_kill_filter(_type="normal", skipme=True)
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in told] == [RedisConnectionError, RedisConnectionError]
        assert await pipe.ask("ECHO", "again") == b"again"


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_nobody_gets_the_answer_to_a_request_that_was_given_up(redis_url: str, cancelled: int) -> None:
    async with connect(redis_url) as redis:
        pipe = Pipe(redis)
        asked = await _asked(pipe, redis_url)
        asked[cancelled].cancel()
        told = await asyncio.gather(*asked, pipe.ask("ECHO", "mine"), return_exceptions=True)
        assert isinstance(told[cancelled], asyncio.CancelledError)
        assert isinstance(told[1 - cancelled], RedisConnectionError)
        assert told[2] == b"mine"
