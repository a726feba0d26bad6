"""A whole system for the contract's tests: Valkey, a worker, ingest."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis.asyncio import Redis

from tests.support.redis import RedisServer
from tests.support.service import Service


@pytest.fixture(scope="package")
def system_url() -> Iterator[str]:
    """URL of a server with a worker; it is never emptied, so tests use channels of their own."""
    with RedisServer() as server, Service("worker", "--redis", server.url):
        yield server.url


@pytest.fixture(scope="package")
def ingest(system_url: str) -> Iterator[Service]:
    with Service("ingest", "--redis", system_url, "--origins", "https://app.example") as service:
        yield service
        assert service.terminate() == 0
        assert "Traceback" not in service.stderr


@pytest.fixture
async def client(ingest: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=ingest.url, timeout=20) as made:
        yield made


@pytest.fixture
async def redis(system_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(system_url) as made:
        yield made
