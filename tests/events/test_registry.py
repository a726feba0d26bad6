"""The registry: leases, counts, and who is away."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from redis.asyncio import Redis

from tailrace.events import AWAY, Registry
from tailrace.redis import connect
from tailrace.wire import EDGE_FORMAT, ClientEntry, Keys, registered_name
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
    assert await redis.keys("*shared*") == []


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


async def enter(registry: Registry, edge: str, clients: dict[str, list[str]], *, whole: bool = True) -> None:
    """Register clients and their channels, and nobody else, as an edge does."""
    channels = [channel for entered in clients.values() for channel in entered]
    counts = {channel: channels.count(channel) for channel in channels}
    await registry.register(edge, {client: ClientEntry(1, entered) for client, entered in clients.items()}, counts, whole=whole)


async def test_a_client_that_moves_from_a_killed_edge_counts_once_all_the_time(redis: Redis) -> None:
    dying, living = Registry(redis, KEYS, lease_s=0.3), Registry(redis, KEYS)
    await enter(dying, "dying", {"x": ["a", "all"], "y": ["a", "all"]})
    await enter(living, "living", {"x": ["a", "all"]})
    assert await living.recipients(["a", "all"]) == [2, 2]

    async def lease_is_over() -> bool:
        counts = await living.recipients(["a", "all"])
        assert counts in ([2, 2], [1, 1])
        return counts == [1, 1]

    await wait_until(lease_is_over)
    assert await redis.keys("*dying*") == []


async def test_clients_that_count_at_an_edge_which_misses_a_renewal_are_to_be_registered_again(redis: Redis) -> None:
    dying, living = Registry(redis, KEYS, lease_s=0.6), Registry(redis, KEYS, lease_s=0.6)
    await enter(living, "living", {"x": ["a"], "y": ["a"]})
    await enter(dying, "dying", {"x": ["a"]})
    await living.register("living", {}, {}, look=True)

    async def recheck() -> list[str]:
        standing = await living.register("living", {}, {}, look=True)
        assert standing
        return list(standing.recheck)

    assert await wait_until(recheck) == ["x"]
    await living.register("living", {"x": ClientEntry(1, ["a"])}, {})

    async def gone() -> bool:
        assert await living.recipients(["a"]) == [2]  # before the lease has ended, and after it
        await living.register("living", {}, {})
        return not await redis.exists(KEYS.edge("dying"))

    await wait_until(gone)
    assert await living.recipients(["a"]) == [2]


MOVES = st.lists(st.tuples(st.sampled_from(["e1", "e2", "e3"]), st.sampled_from("xy"), st.sets(st.sampled_from("abc"))), max_size=12)


@given(MOVES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_edges_register_each_client_counts_once(redis: Redis, moves: list[tuple[str, str, set[str]]]) -> None:
    await redis.flushall()
    registry, here = Registry(redis, KEYS), dict[tuple[str, str], set[str]]()
    for edge in ("e1", "e2", "e3"):
        await registry.register(edge, {}, {}, whole=True)
    for edge, client, channels in moves:
        before = here.pop((edge, client), set())
        if channels:
            here[edge, client] = channels
        entry = ClientEntry(1, sorted(channels)) if channels else None
        counts = {channel: sum(channel in each for (at, _), each in here.items() if at == edge) for channel in before | channels}
        await registry.register(edge, {client: entry}, counts)
    expected = [len({client for (_, client), channels in here.items() if channel in channels}) for channel in "abc"]
    assert await registry.recipients(["a", "b", "c"]) == expected
    if len({client for _, client in here}) == len(here):
        assert await redis.keys("*shared*") == []


async def commands(redis: Redis, registry: Registry, channels: list[str]) -> dict[str, int]:
    """Count, by name, the commands that one look at recipients runs."""
    await registry.recipients(channels)
    await redis.config_resetstat()
    await registry.recipients(channels)
    stats = await redis.info("commandstats")
    return {name: stat["calls"] for name, stat in stats.items() if name.startswith("cmdstat_") and "config" not in name}


async def test_what_a_look_at_recipients_costs_does_not_depend_on_who_is_connected(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    for edge in ("e1", "e2"):
        await enter(registry, edge, {"one": ["all"]})
    few = await commands(redis, registry, ["room:1", "all"])
    for edge in ("e1", "e2"):
        await enter(registry, edge, {f"{client}": [f"{client}-{channel}" for channel in range(20)] for client in range(200)})
    assert await commands(redis, registry, ["room:1", "all"]) == few
    assert "cmdstat_hget" not in few
    assert "cmdstat_smembers" not in few


async def test_what_edges_share_is_bounded(redis: Redis) -> None:
    registry, most = Registry(redis, KEYS), 16384
    for edge in ("e1", "e2"):
        for start in range(0, 20_000, 2000):
            clients = {str(client): ClientEntry(1, ["all"]) for client in range(start, start + 2000)}
            await registry.register(edge, clients, {"all": start + 2000}, whole=not start)
    assert await registry.recipients(["all"]) == [40_000 - most // 2]  # a client is one note, and one for each of its channels
    assert int(await redis.hget(KEYS.shared("e1"), "units") or 0) == most  # type: ignore[misc]


async def test_long_names_cost_no_more_than_a_hash_and_count_all_the_same(redis: Redis) -> None:
    registry, long = Registry(redis, KEYS), "x" * 128
    await enter(registry, "new", {"a": [registered_name(long), "all"]})
    await enter(registry, "of another version", {"b": [long, "all"]})
    assert await registry.recipients([long, "all"]) == [2, 2]
    assert len(registered_name(long)) == 17


async def test_an_edge_is_told_how_much_room_there_is(redis: Redis) -> None:
    registry = Registry(redis, KEYS)
    unlimited = await registry.register("e1", {}, {}, whole=True, look=True)
    assert unlimited
    assert (unlimited.share, unlimited.room) == (None, None)
    used = (await redis.info("memory"))["used_memory"]
    try:
        await redis.config_set("maxmemory", used * 4)
        roomy = await registry.register("e2", {}, {}, whole=True, look=True)
        assert roomy
        assert roomy.share == used * 4 // 4 // 2
        assert 0 < (roomy.room or 0) < (0.7 * 4 - 1) * used / 4
        await redis.config_set("maxmemory", int(used / 0.72))
        full = await registry.register("e2", {"x": ClientEntry(1, ["client:x"])}, {"client:x": 1}, look=True)
        assert full
        assert full.room == 0
    finally:
        await redis.config_set("maxmemory", 0)


async def test_while_redis_is_full_any_client_may_be_away(redis: Redis) -> None:
    registry = Registry(redis, KEYS, away_s=0.3)
    await enter(registry, "e", {client: [f"client:{client}"] for client in ("x", "y", "z")})
    used = (await redis.info("memory"))["used_memory"]
    try:
        await redis.config_set("maxmemory", int(used / 0.72))
        await registry.register("e", {}, {}, look=True)
        await registry.register("e", {"x": None, "y": None}, {"client:x": 0, "client:y": 0})
    finally:
        await redis.config_set("maxmemory", 0)
    assert await redis.keys("*away*") == [KEYS.away("*").encode()]
    assert await registry.recipients(["client:x", "client:y", "client:z"]) == [AWAY, AWAY, 1]

    async def gone() -> bool:
        return await registry.recipients(["client:x", "client:never"]) == [0, 0]

    await wait_until(gone)
