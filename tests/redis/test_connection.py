"""What happens to commands whose connection goes, or whose task is cancelled, as they are sent."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tailrace.redis import connect
from tests.support.redis import RedisServer


async def write_to_a_connection_that_is_just_gone(url: str) -> None:
    async with connect(url) as redis:
        await redis.ping()
        connection = await redis.connection_pool.get_connection()
        connection._writer.transport.abort()
        await connection.send_command("PING")


def test_a_connection_that_is_gone_is_redis_trouble_under_uvloop_too(redis_url: str) -> None:
    with pytest.raises(RedisConnectionError):
        uvloop.run(write_to_a_connection_that_is_just_gone(redis_url))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as client:
        yield client


@pytest.mark.anyio
async def test_a_connection_that_others_close_as_a_command_goes_out_is_redis_trouble_too(redis: Redis) -> None:
    connection = await redis.connection_pool.get_connection()
    large = b"x" * 1_000_000  # goes the way of commands that may have to wait
    with pytest.raises(RedisConnectionError):
        await asyncio.gather(connection.send_command("SET", "a", large), connection.disconnect(nowait=True))


@pytest.mark.anyio
async def test_a_cancellation_that_comes_as_a_command_goes_out_is_heeded(redis: Redis) -> None:
    async def ask_for_ever() -> None:
        while True:
            await redis.ping()

    for turn in range(300):
        task = asyncio.create_task(ask_for_ever())
        for _ in range(turn % 7):
            await checkpoint()
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.cancelled(), f"turn {turn}"
    assert await redis.ping()


@pytest.mark.anyio
async def test_a_unix_socket_can_be_used(redis_server: RedisServer) -> None:
    path = redis_server.data_dir / "s"
    redis_server._command = [*redis_server._command, "--unixsocket", str(path)]
    redis_server.stop()
    redis_server.start()
    async with connect(f"unix://{path}") as client:
        assert await client.ping()
