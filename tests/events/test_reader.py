"""Reading: the tail, and generations over restarts."""

import math

import pytest

from tailrace.events import Generations, LogReader, LogWriter, NewEvent, Wanted, follow
from tailrace.redis import connect, connect_reader
from tailrace.wire import Keys, decode_entry, encode_json_block, format_id
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


async def test_what_a_later_version_adds_to_generations_is_ignored(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        reader = LogReader(redis, KEYS, 0)
        first = await reader.sync()
        await redis.hset(KEYS.generations(0), mapping={"replid": "another", "past": "aaaaa 0-0 later\n", "x": "1"})  # type: ignore[misc]
        assert (await reader.sync()).past == (("aaaaa", 0), (first.label, 0))


def test_a_position_survives_what_all_later_generations_kept() -> None:
    generations = Generations("d", 100, (("a", 50), ("b", 30), ("c", 40)))
    assert [generations.survived(label) for label in "abcdx"] == [30, 30, 40, math.inf, -1]
    assert generations.holds("d", 100)
    assert not generations.holds("d", 101)


async def test_a_history_is_looked_at_only_where_the_channel_has_something_new(any_redis_url: str) -> None:
    """What a channel's last id says costs one command for all of them."""
    async with connect(any_redis_url) as redis:
        writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
        names = [f"room:{number}" for number in range(2500)]
        appended = await writer.append([EVENT._replace(channel=name) for name in names])
        await redis.config_resetstat()
        answer = await reader.read([Wanted(name, each.id - (name == "room:7"), 10) for name, each in zip(names, appended, strict=True)])
        stats = await redis.info("commandstats")
        assert [len(each.entries) for each in answer.histories if each] == [int(name == "room:7") for name in names]
        assert (stats["cmdstat_xrange"]["calls"], stats["cmdstat_mget"]["calls"]) == (1, 3)


async def test_ids_are_told_apart_where_a_double_cannot(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        (first,) = await LogWriter(redis, KEYS, 0).append([EVENT])
        at = (first.id >> 64 << 64) + (1 << 63)
        await redis.set(KEYS.last(0, "a"), format_id(at))
        reader = LogReader(redis, KEYS, 0)
        for after, larger in ((at - 1, True), (at, False), (at + 1, False), (first.id, True), ((first.id >> 64) - 1 << 64, True)):
            await redis.config_resetstat()
            await reader.read([Wanted("a", after, 10)])
            assert ("cmdstat_xrange" in await redis.info("commandstats")) == larger


async def test_a_last_id_that_another_program_wrote_is_none(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        (first,) = await LogWriter(redis, KEYS, 0).append([EVENT])
        await redis.set(KEYS.last(0, "a"), "something else")
        (history,) = (await LogReader(redis, KEYS, 0).read([Wanted("a", 0, 10)])).histories
        assert history
        assert [entry.id for entry in history.entries] == [first.id]
        assert history.last < first.id


async def test_an_answer_is_bounded_but_for_what_must_be_answered(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
        names, large = ["a", "b", "c", "d"], encode_json_block("message", b'"%b"' % (b"x" * 200_000))
        await writer.append([NewEvent("1", name, large) for name in names])
        wanted = [*[Wanted(name, 0, 10) for name in names], Wanted("a", 1 << 110, 10)]
        for must, answered in ((1, 2), (3, 3), (None, 4)):
            answer = await reader.read(wanted, must)
            assert [bool(each) for each in answer.histories] == [number < answered for number in range(4)] + [True]
