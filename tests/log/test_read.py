"""Reading: the tail, and generations over restarts."""

import math

import pytest

from tailrace.log import Generations, LogReader, LogWriter, NewEvent, connect, connect_reader, follow
from tailrace.wire import Keys, decode_entry, encode_json_block
from tests.support.redis import RedisServer

pytestmark = pytest.mark.anyio
KEYS = Keys()
EVENT = NewEvent("1", "a", encode_json_block("message", b"1"))


async def test_follow_waits_for_entries_of_several_shards(any_redis_url: str) -> None:
    async with connect(any_redis_url) as redis, connect_reader(any_redis_url, block_s=1) as reader:
        assert await follow(reader, KEYS, {0: 0, 1: 0}, 10, 100) == {}
        (first,) = await LogWriter(redis, KEYS, 0).append([EVENT])
        (second,) = await LogWriter(redis, KEYS, 1).append([EVENT])
        found = await follow(reader, KEYS, {0: 0, 1: 0}, 1000, 100)
        assert {shard: [decode_entry(*raw).id for raw in entries] for shard, entries in found.items()} == {
            0: [first.id],
            1: [second.id],
        }
        assert list(await follow(reader, KEYS, {0: first.id, 1: 0}, 1000, 100)) == [1]


async def test_a_restart_begins_a_new_generation_at_what_survived(redis_server: RedisServer) -> None:
    async with connect(redis_server.url) as redis:
        writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
        (first,) = await writer.append([EVENT])
        before = await reader.sync()
        assert before == Generations(before.label, first.id)
        redis_server.stop()
        redis_server.start()
        await redis.connection_pool.disconnect()
        await writer.append([EVENT])
        after = await reader.sync()
        assert after.label != before.label
        assert after.past == ((before.label, first.id),)
        assert after.holds(before.label, first.id)
        assert not after.holds(before.label, first.id + 1)
        newest = (await reader.newest(1))[0]
        assert (newest.generation, newest.log_before) == (after.label, first.id)


async def test_a_flush_forgets_all_generations(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
        (first,) = await writer.append([EVENT])
        before = await reader.sync()
        await redis.flushall()
        after = await reader.sync()
        assert after.top == 0
        assert not after.holds(before.label, first.id)


async def test_only_so_many_generations_are_listed(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        reader = LogReader(redis, KEYS, 0)
        labels = []
        for _ in range(40):
            labels.append((await reader.sync()).label)
            await redis.execute_command("HSET", KEYS.generations(0), "replid", "another")  # type: ignore[no-untyped-call]
        listed = await reader.sync()
        assert [label for label, _ in listed.past] == labels[-32:]


def test_a_position_survives_what_all_later_generations_kept() -> None:
    generations = Generations("d", 100, (("a", 50), ("b", 30), ("c", 40)))
    assert [generations.survived(label) for label in "abcdx"] == [30, 30, 40, math.inf, -1]
    assert generations.holds("d", 100)
    assert not generations.holds("d", 101)
