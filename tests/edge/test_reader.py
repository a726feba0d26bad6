"""How often an edge asks Redis for what is new."""

import time

import pytest
from redis.asyncio import Redis

from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import numbers, sse

pytestmark = pytest.mark.anyio
_GATHER_S = 0.002
_BESIDES = 5
"""Questions that wait for a reply when it begins, and those before replies are many."""


async def test_a_flood_of_single_events_is_gathered(start_edge: StartEdge, redis_url: str, redis: Redis, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await redis.config_resetstat()
        begun = time.monotonic()
        for _ in range(300):
            await log.append("a")
        await numbers(client, 300)
        questions = (await redis.info("commandstats"))["cmdstat_xread"]["calls"]
        assert questions <= (time.monotonic() - begun) / _GATHER_S + _BESIDES
