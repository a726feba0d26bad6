"""The registry: leases, counts, and who is away."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tailrace.log import AWAY, Registry, connect
from tailrace.wire import EDGE_FORMAT, ClientEntry, Keys
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(any_redis_url) as client:
        yield client


async def test_clients_are_counted_over_all_edges(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    for edge, since in (("e1", 2), ("e2", 1)):
        client = f"of-{edge}"
        entry = ClientEntry(since, ["all", f"client:{client}"])
        assert await registry.register(edge, {client: entry}, {"all": 1, f"client:{client}": 1}, whole=True)
    assert await registry.recipients(["all", "client:of-e1", "client:nobody", "room:1"]) == [2, 1, 0, 0]
    assert [client.client for client in await registry.clients()] == ["of-e2", "of-e1"]


async def test_one_client_on_two_edges_is_one_recipient_of_its_own_channel(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    for edge in ("e1", "e2"):
        await registry.register(edge, {"x": ClientEntry(1, ["client:x"])}, {"client:x": 1}, whole=True)
    assert await registry.recipients(["client:x"]) == [1]


async def test_one_client_on_two_edges_counts_once_in_every_channel(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    for edge, channels in (("e1", ["room:1", "all"]), ("e2", ["room:2", "all"])):
        entry = ClientEntry(1, channels)
        await registry.register(edge, {"x": entry, edge: entry}, dict.fromkeys(channels, 2), whole=True)
    for _ in range(2):
        assert await registry.recipients(["all", "room:1", "room:2"]) == [3, 2, 2]
    await registry.register("e1", {"x": None}, {"room:1": 1, "all": 1})
    assert await registry.recipients(["all", "room:1"]) == [3, 1]
    assert await redis.exists(KEYS.shared()) == 0


async def test_the_lowest_format_is_that_of_the_oldest_edge(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    assert await registry.lowest_format() == 0
    for edge in ("e1", "e2"):
        await registry.register(edge, {}, {}, whole=True)
        await registry.register(edge, {}, {"all": 1})
    assert await registry.lowest_format() == EDGE_FORMAT == 1
    await redis.hset(KEYS.edge("e2"), "format", "7")  # type: ignore[misc]
    assert await registry.lowest_format() == EDGE_FORMAT
    await redis.hdel(KEYS.edge("e1"), "format")  # type: ignore[misc]
    assert await registry.lowest_format() == 0
    await registry.leave("e1")
    assert await registry.lowest_format() == 7


async def test_what_a_later_version_adds_to_the_registry_is_ignored(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    for edge in ("e1", "e2"):
        await registry.register(edge, {"x": ClientEntry(1, ["all"])}, {"all": 1}, whole=True)
    await redis.hset(KEYS.edge("e2"), mapping={"c:x": '{"since":1,"channels":["all"],"user":{"sub":"ann"}}', "later": "1", "u:ann": "x"})  # type: ignore[misc]
    assert await registry.recipients(["all"]) == [1]
    assert [(client.client, client.edge) for client in await registry.clients()] == [("x", "e1"), ("x", "e2")]


async def test_who_leaves_is_away_for_a_while(redis: Redis) -> None:
    registry = Registry(redis, KEYS, away_s=0.3)
    await registry.register("e", {"x": ClientEntry(1, ["client:x"])}, {"client:x": 1}, whole=True)
    await registry.register("e", {"x": None}, {"client:x": 0})
    assert await registry.recipients(["client:x"]) == [AWAY]
    assert await registry.clients() == []

    async def gone() -> bool:
        return await registry.recipients(["client:x"]) == [0]

    await wait_until(gone)


async def test_who_comes_back_is_not_away(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    entry = ClientEntry(1, ["client:x"])
    await registry.register("e", {"x": entry}, {"client:x": 1}, whole=True)
    await registry.register("e", {"x": None}, {"client:x": 0})
    await registry.register("e", {"x": entry}, {"client:x": 1})
    assert await registry.recipients(["client:x"]) == [1]
    await registry.leave("e")
    assert await registry.recipients(["client:x"]) == [0]


async def test_an_edge_that_says_no_more_is_gone_with_its_lease_and_says_all_anew(redis: Redis) -> None:
    registry = Registry(redis, KEYS, lease_s=0.3)
    await registry.register("e", {"x": ClientEntry(1, ["all"])}, {"all": 1}, whole=True)
    assert await registry.register("e", {}, {})

    async def gone() -> bool:
        return await registry.recipients(["all"]) == [0]

    await wait_until(gone)
    assert await registry.clients() == []
    assert not await registry.register("e", {}, {})
    assert await registry.recipients([]) == []
