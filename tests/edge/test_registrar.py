"""The edge's part of the registry."""

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.edge.registry._registrar import Changes, Presence, Registrar, Roster, _parts
from tailrace.events import AWAY, Registry
from tailrace.wire import ALL, ClientEntry, Keys, client_channel, registered_name
from tests.edge.conftest import StartEdge
from tests.edge.tools import crowd, gives, is_in_state, log_on, numbers, sse
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


def hostile(client: str) -> str:
    """Make a query for as many and as long channels as are allowed, that nobody else asks for."""
    return "&".join([f"channel={client}-{number}-".ljust(136, "x") for number in range(100)]) + f"&client_id={client}"


async def test_idle_clients_with_long_names_do_not_fill_redis(start_edge: StartEdge) -> None:
    """A hundred names of 128 characters each: were they registered as they are, this Redis would be full four times over."""
    with RedisServer("valkey", "--maxmemory", "12mb") as server:
        edge = start_edge(server.url, registry_lease_s=15, heartbeat_s=30)
        clients = [f"00000000-0000-4000-8000-{number:012}" for number in range(1500)]
        with crowd(edge, [hostile(client) for client in clients]):
            async with log_on(server) as log, sse(edge, channel="room:1") as honest:
                own = client_channel((await honest.data("connect"))["id"])
                registry, everyone = Registry(log.redis, Keys()), [ALL, own, *[client_channel(client) for client in clients]]
                await wait_until(lambda: gives(registry.recipients(everyone), [1501] + [1] * 1501), timeout_s=20)
                memory = await log.redis.info("memory")
                assert memory["used_memory"] < 0.7 * memory["maxmemory"]
                sent = await log.append("room:1")
                assert await numbers(honest, 1) == sent
                found = await registry.clients()
                assert {info.client for info in found} >= set(clients)
                assert any(not info.listed for info in found)


async def test_a_client_on_two_edges_still_counts_when_the_edge_that_counted_it_is_killed(
    start_edge: StartEdge, redis_url: str, redis: Redis
) -> None:
    registry, client_id = Registry(redis, Keys()), "00000000-0000-4000-8000-000000000001"
    first, second = start_edge(redis_url), start_edge(redis_url)
    async with sse(first, channel="a", client_id=client_id) as one, sse(second, channel="a", client_id=client_id) as two:
        for each in (one, two):
            await each.next("connect")
        assert await registry.recipients([ALL, "a"]) == [1, 1]
        second.kill()

        async def is_gone() -> bool:
            assert await registry.recipients([ALL, "a"]) == [1, 1]
            return bool(await redis.zcard(Keys().edges()) == 1)

        await wait_until(is_gone)
        assert await registry.recipients([ALL, "a"]) == [1, 1]


async def test_workers_of_the_version_before_read_what_edges_write(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    """They decide by `n:client:<id>` whether a push is appended, and count what stands under its own name."""
    edge, long = start_edge(redis_url), "x" * 21
    async with sse(edge, channel=["room:1", long]) as client:
        id_ = (await client.data("connect"))["id"]
        (key,) = [Keys().edge(edge.decode()) for edge in await redis.zrange(Keys().edges(), 0, -1)]
        fields = await redis.hgetall(key)  # type: ignore[misc]
    counts = {field.decode(): value for field, value in fields.items() if field.startswith(b"n:")}
    assert counts == dict.fromkeys(["n:all", "n:room:1", f"n:client:{id_}", f"n:{registered_name(long)}"], b"1")
    entry = msgspec.json.decode(fields[f"c:{id_}".encode()])
    assert (set(entry), entry["channels"]) == ({"since", "channels"}, ["room:1", registered_name(long), "all", f"client:{id_}"])


def test_a_command_has_no_more_of_clients_and_channels_than_redis_handles_at_once() -> None:
    clients = {str(number): ClientEntry(1, [f"{number}-{channel}" for channel in range(100)]) for number in range(50)}
    clients["many"] = ClientEntry(1, [str(channel) for channel in range(5000)])
    few = {f"few-{number}": ClientEntry(1, ["all"]) for number in range(600)}
    counts = {channel: 1 for entry in clients.values() for channel in entry.channels}
    parts = list(_parts(Changes({**clients, **few, "left": None}, counts, whole=True)))
    sizes = [sum(len(entry.channels) if entry else 1 for entry in part.values()) for part, _ in parts]
    assert max(size for size in sizes if size != 5000) <= 1000
    assert max(len(part) for part, _ in parts) <= 500
    assert max(len(part) for _, part in parts) <= 500
    assert {name: entry for part, _ in parts for name, entry in part.items()} == {**clients, **few, "left": None}
    assert {name: count for _, part in parts for name, count in part.items()} == counts
    assert list(_parts(Changes({}, {}, whole=False))) == [({}, {})]


class CountingRoster(Roster):
    """Counts how often all that it has was put together."""

    put_together = 0

    def changes(self) -> Changes:
        changes = super().changes()
        self.put_together += changes.whole
        return changes


async def test_what_an_edge_has_is_put_together_once_redis_is_back(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten thousand clients, doing so twice a second would be what an edge is busy with while Redis is away."""
    monkeypatch.setattr("tailrace.edge.registry._registrar._PAUSE_S", 0.02)
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
