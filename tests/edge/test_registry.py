"""The edge's part of the registry."""

import asyncio

import pytest
from redis.asyncio import Redis

from tailrace.edge._registrar import Registrar
from tailrace.edge._roster import Changes, Presence, Roster
from tailrace.log import AWAY, Registry
from tailrace.wire import ALL, Keys, client_channel
from tests.edge.conftest import StartEdge
from tests.edge.tools import gives, is_in_state, log_on, sse
from tests.support.redis import RedisServer
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


async def test_who_leaves_while_the_edge_s_part_is_gone_is_away(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url, registry_lease_s=60)
    registry = Registry(redis, Keys())
    async with sse(edge) as client:
        own = client_channel((await client.data("connect"))["id"])
        assert await registry.recipients([own]) == [1]
        await redis.delete(*[key async for key in redis.scan_iter("*edge*")])
    await wait_until(lambda: gives(registry.recipients([own]), [AWAY]))


async def test_who_leaves_while_redis_is_away_is_away(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url)
    async with sse(edge) as client:
        own = client_channel((await client.data("connect"))["id"])
        redis_server.kill()
        await wait_until(lambda: is_in_state(edge, 200, "degraded"))
    redis_server.start()
    async with log_on(redis_server) as log:
        await wait_until(lambda: gives(Registry(log.redis, Keys()).recipients([own]), [AWAY]), timeout_s=10)


class CountingRoster(Roster):
    """Counts how often all that it has was put together."""

    put_together = 0

    def changes(self) -> Changes:
        changes = super().changes()
        self.put_together += changes.whole
        return changes


async def test_what_an_edge_has_is_put_together_once_redis_is_back(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten thousand clients, doing so twice a second would be what an edge is busy with while Redis is away."""
    monkeypatch.setattr("tailrace.edge._registrar._PAUSE_S", 0.02)
    async with log_on(redis_server) as log:
        registry, roster, rounds = Registry(log.redis, Keys()), CountingRoster(), set[object]()
        registrar = Registrar(registry, "edge", roster, renew_s=0.1)

        def five_rounds() -> bool:
            rounds.add(registrar._round)
            return len(rounds) > 5

        roster.join("x", Presence(1, ("a",)))
        running = asyncio.create_task(registrar.run())
        await registrar.told()
        redis_server.kill()
        await wait_until(lambda: registrar._away)
        before = roster.put_together
        await wait_until(five_rounds)
        assert roster.put_together == before
        redis_server.start()
        await wait_until(lambda: roster.put_together > before)
        await registrar.told()
        assert roster.put_together == before + 1
        assert await registry.recipients(["a"]) == [1]
        running.cancel()
        await asyncio.wait([running])
