"""The edge's part of the registry."""

import pytest
from redis.asyncio import Redis

from tailrace.log import Registry
from tailrace.wire import ALL, Keys
from tests.edge.conftest import StartEdge
from tests.edge.tools import gives, sse
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


async def test_clients_of_a_killed_edge_vanish_with_its_lease(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url, registry_lease_s=1)
    registry = Registry(redis, Keys())
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        assert [info.channels[0] for info in await registry.clients()] == ["a"]
        edge.kill()
        await wait_until(lambda: gives(registry.recipients([ALL]), [0]), timeout_s=3)
        assert await registry.clients() == []


async def test_an_edge_whose_part_is_gone_writes_it_anew(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url)
    registry = Registry(redis, Keys())
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await redis.delete(*[key async for key in redis.scan_iter("*edge*")])
        await wait_until(lambda: gives(registry.recipients([ALL, "a"]), [1, 1]))
