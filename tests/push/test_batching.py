"""Enqueueing under load, and when Redis fails."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis

from tailrace.push import Push, Pusher, QueueBrokenError, QueueFullError, RedisAwayError, RedisReadOnlyError
from tailrace.wire import JOB_PREFIX, Keys, decode_job, decode_pushes
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        yield client


async def _queued(redis: Redis, partition: int = 0) -> list[str]:
    """What stands in the queue, in its order: the data of each push."""
    ids = await redis.zrange(KEYS.queue(partition), 0, -1)
    payloads = await redis.mget([JOB_PREFIX + job.decode() for job in ids]) if ids else []
    return [msgspec.json.encode(push.data).decode() for text in payloads for push in decode_pushes(decode_job(text)).pushes]


async def test_concurrent_pushes_stand_in_the_order_of_asking(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url) as pusher, asyncio.TaskGroup() as group:
        for number in range(1000):
            group.create_task(pusher.push("room:1", number))
    assert await _queued(redis) == [str(number) for number in range(1000)]


async def test_pushes_that_wait_share_a_script(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url) as pusher:
        await pusher.push("room:1", 0)
        before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await asyncio.gather(*[pusher.push("room:1", number) for number in range(256)])
        after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 3


async def test_partitions_are_chosen_by_channel_and_a_batch_goes_in_whole(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url, partitions=2) as pusher:
        pushes = [Push(to=f"room:{number}", data=number) for number in range(20)]
        batch = await pusher.push_many(pushes)
    assert len(batch.jobs) == 2
    assert sorted(map(int, await _queued(redis, 0) + await _queued(redis, 1))) == list(range(20))


async def test_who_is_cancelled_before_its_turn_sends_nothing(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url) as pusher:
        first = asyncio.create_task(pusher.push("room:1", 1))
        second = asyncio.create_task(pusher.push("room:1", 2))
        await checkpoint()
        second.cancel()
        await first
        await asyncio.wait([second])
        await pusher.push("room:1", 3)
    assert await _queued(redis) == ["1", "3"]


async def test_redis_restarts_while_pushes_go_on(redis: Redis, redis_server: RedisServer) -> None:
    accepted: list[int] = []

    async def produce(pusher: Pusher) -> None:
        for number in range(600):
            await pusher.push("room:1", number)
            accepted.append(number)

    async with Pusher(redis_server.url) as pusher:
        task = asyncio.create_task(produce(pusher))
        for stage in (150, 350):
            await wait_until(lambda stage=stage: len(accepted) > stage)  # type: ignore[misc]
            await anyio.to_thread.run_sync(redis_server.kill if stage == 150 else redis_server.stop)
            await anyio.to_thread.run_sync(redis_server.start)
        await task
    queued = list(map(int, await _queued(redis)))
    assert queued == list(range(600))


async def test_redis_paused_past_the_clients_patience_doubles_nothing(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url, timeout_s=0.5) as pusher:
        await pusher.push("room:1", 0)
        await redis.client_pause(1200, all=True)
        with pytest.raises(RedisAwayError) as caught:
            await pusher.push("room:1", 1)
        assert caught.value.uncertain
        await pusher.push("room:1", 2) if await wait_until(redis.ping) else None
    queued = await _queued(redis)
    assert queued in (["0", "2"], ["0", "1", "2"])


async def test_redis_that_was_never_there_got_nothing() -> None:
    async with Pusher(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.3) as pusher:
        with pytest.raises(RedisAwayError, match="nothing was enqueued") as caught:
            await pusher.push("room:1", 1)
    assert not caught.value.uncertain


async def test_a_redis_that_may_not_be_written_to_got_nothing(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url, timeout_s=0.3) as pusher:
        await pusher.push("room:1", 0)
        await redis.config_set("min-replicas-to-write", 1)
        with pytest.raises(RedisReadOnlyError, match=r"nothing was enqueued .*[Rr]eplicas") as caught:
            await pusher.push("room:1", 1)
        await redis.config_set("min-replicas-to-write", 0)
        await redis.replicaof("127.0.0.1", str(free_port()))  # demoted: its new primary isn't there, so it keeps what it has
        with pytest.raises(RedisReadOnlyError, match=r"nothing was enqueued .*read only") as demoted:
            await pusher.push("room:1", 2)
        await redis.replicaof("NO", "ONE")
        await pusher.push("room:1", 3)
    assert [caught.value.uncertain, demoted.value.uncertain] == [False, False]
    assert await _queued(redis) == ["0", "3"]


async def test_those_who_wait_behind_do_not_wait_longer() -> None:
    async with Pusher(f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.3) as pusher:
        begin = asyncio.get_running_loop().time()
        pushes = [Push(to="room:1", data="x" * 200_000) for _ in range(2)]
        results = await asyncio.gather(*[pusher.push_many(pushes) for _ in range(8)], return_exceptions=True)
        took_s = asyncio.get_running_loop().time() - begin
    assert [type(result) for result in results] == [RedisAwayError] * 8
    assert took_s < 1.5


async def test_from_three_quarters_of_the_memory_on_nothing_is_enqueued(redis: Redis, redis_server: RedisServer) -> None:
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used * 5 // 4)
    async with Pusher(redis_server.url) as pusher:
        with pytest.raises(QueueFullError, match="% of its memory"):
            await pusher.push("room:1", 1)
        assert await _queued(redis) == []
        await redis.config_set("maxmemory", used * 4)
        await pusher.push("room:1", 2)
    assert await _queued(redis) == ["2"]


async def test_redis_out_of_memory_is_said_at_once(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url) as pusher:
        await pusher.push("room:1", 0)  # has just looked at the memory
        await redis.config_set("maxmemory", 1)
        with pytest.raises(QueueFullError, match="out of memory"):
            await pusher.push("room:1", 1)


async def test_a_queue_of_another_type_is_said_by_name_and_nothing_is_left_of_the_push(redis: Redis, redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url) as pusher:
        await redis.set(KEYS.queue(), "overwritten")
        with pytest.raises(QueueBrokenError, match="tailrace:queue is no sorted set"):
            await pusher.push("room:1", 1)
        assert await redis.keys(f"{JOB_PREFIX}*") == []
        await redis.delete(KEYS.queue())
        await pusher.push("room:1", 2)
    assert await _queued(redis) == ["2"]


async def test_a_full_queue_is_said_by_name(redis_server: RedisServer) -> None:
    async with Pusher(redis_server.url, max_queue=1) as pusher:
        await pusher.push("room:1", 1)
        with pytest.raises(QueueFullError, match="tailrace:queue"):
            await pusher.push("room:1", 2)
