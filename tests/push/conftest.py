"""One Valkey and one worker for the tests that look at what becomes of pushes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tailrace.push import Pusher
from tests.support.redis import RedisServer
from tests.support.service import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def working_url() -> Iterator[str]:
    """URL of a server with a worker; it is never emptied, so tests use channels of their own."""
    with (
        RedisServer() as server,
        Service("worker", "--redis", server.url, "--functions", "tests.push.functions", environ={"PYTHONPATH": str(ROOT)}),
    ):
        yield server.url


@pytest.fixture
async def redis(working_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(working_url) as client:
        yield client


@pytest.fixture
async def pusher(working_url: str) -> AsyncIterator[Pusher]:
    async with Pusher(working_url) as made:
        yield made
