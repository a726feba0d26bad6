"""A Cluster as one client: where commands go, what is refused, and what a slot on its way does to scripts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tailrace.events import LogReader, LogWriter, NewEvent
from tailrace.events._scripts import script
from tailrace.redis import ClusterRedis, check_layout, check_redis, connect, primaries
from tailrace.wire import Keys, SetupError
from tests.support.cluster import Cluster, ClusterNode
from tests.support.redis import Kind

pytestmark = pytest.mark.anyio
KEYS = Keys()


@pytest.fixture(scope="module", params=["valkey", "redis"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    kind: Kind = request.param
    with Cluster(kind) as cluster:
        yield cluster


@pytest.fixture
async def redis(cluster: Cluster) -> AsyncIterator[Redis]:
    async with connect(cluster.url) as client:
        yield client


def event(name: str, channel: str) -> NewEvent:
    return NewEvent(name, channel, b"event: message\ndata: 1\n\n")


async def test_each_shard_is_where_its_slot_is_and_moves_with_it(cluster: Cluster, redis: Redis) -> None:
    await check_redis(redis)
    await check_layout(redis, KEYS, 8)
    assert len(await primaries(redis)) == 3
    writers = [LogWriter(redis, KEYS, shard, min_replicas=0) for shard in range(8)]
    for shard, writer in enumerate(writers):
        await writer.append([event("0", "a")])
        assert cluster.owner(KEYS.log(shard)).ask("XLEN", KEYS.log(shard)) == 1
    before = cluster.owner(KEYS.log(7))
    await asyncio.to_thread(cluster.migrate, KEYS.log(7))
    await writers[7].append([event("0", "a")])
    after = cluster.owner(KEYS.log(7))
    assert after is not before
    assert after.ask("XLEN", KEYS.log(7)) == 2
    assert len(await LogReader(redis, KEYS, 7).newest(10)) == 2
    assert len((await LogReader(redis, KEYS, 7).sync()).past) == 1


async def test_connections_can_be_closed_while_others_look_for_nodes(cluster: Cluster) -> None:
    """Probes close them when a primary fails over."""
    for turn in range(60):
        async with connect(f"redis+cluster://127.0.0.1:{cluster.primaries[0].port}") as client:
            assert isinstance(client, ClusterRedis)
            looking = asyncio.create_task(client.primaries())
            for _ in range(turn):
                await checkpoint()
            await client.disconnect()
            with suppress(RedisError):
                await looking


async def test_what_is_no_cluster_or_only_a_part_of_one_is_refused(cluster: Cluster, redis_url: str) -> None:
    async with connect(redis_url.replace("redis://", "redis+cluster://").removesuffix("/0")) as alone:
        with pytest.raises(SetupError, match="no Cluster: its URL begins with redis://"):
            await check_redis(alone)
    async with connect(cluster.primaries[0].url) as node:
        with pytest.raises(SetupError, match=r"a node of a Cluster.*redis\+cluster://"):
            await check_redis(node)


@pytest.fixture
def moving(cluster: Cluster) -> Iterator[ClusterNode]:
    """Begin to move shard 3 to another node; give the one that still has it."""
    slot, source = cluster.slot(KEYS.log(3)), cluster.owner(KEYS.log(3))
    target = next(node for node in cluster.primaries if node is not source)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    yield source
    for node in (target, source):
        node.ask("CLUSTER", "SETSLOT", slot, "STABLE")


@pytest.fixture
async def writer(redis: Redis) -> LogWriter:
    writer = LogWriter(redis, KEYS, 3)
    await writer.append([event("0", "known"), event("1", "half")])
    return writer


async def test_while_a_slot_moves_nothing_is_appended(writer: LogWriter, moving: ClusterNode) -> None:
    before = moving.ask("XLEN", KEYS.log(3))
    with pytest.raises(ResponseError, match="the shard is being moved"):
        await writer.append([event("0", "known"), event("1", "new")])
    assert moving.ask("XLEN", KEYS.log(3)) == before


async def test_scripts_that_do_not_look_leave_half_a_batch_behind(redis: Redis, writer: LogWriter, moving: ClusterNode) -> None:
    careless = script("emit").replace("  refuse_if_moving(key)\n", "")
    writer._emit = redis.register_script(careless)
    moving.ask("DEL", KEYS.history(3, "half"))  # it has gone to the other node already
    before = moving.ask("XLEN", KEYS.log(3))
    with pytest.raises(ResponseError, match="non local key"):
        await writer.append([event("0", "known"), event("1", "half"), event("2", "known")])
    assert moving.ask("XLEN", KEYS.log(3)) == before + 2
