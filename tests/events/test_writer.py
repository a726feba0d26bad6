"""The append script: links, histories, keys, generations; and the commits of the line."""

from collections.abc import AsyncIterator, Iterable

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from tailrace.events import (
    ChannelHistory,
    EarlyError,
    HistoryPolicy,
    LogLimits,
    LogReader,
    LogWriter,
    NewEvent,
    RefusedError,
    Wanted,
    outcome_field,
    read_outcome,
)
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block, id_at

pytestmark = pytest.mark.anyio
KEYS = Keys()
BLOCK = encode_json_block("message", b"1")


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(any_redis_url) as client:
        yield client


def events(*channels: str, key: str = "") -> list[NewEvent]:
    return [NewEvent(str(index), channel, BLOCK, key) for index, channel in enumerate(channels)]


async def histories(reader: LogReader, after: int, channels: Iterable[str], *, most: int = 10) -> dict[str, ChannelHistory]:
    """Give what channels' histories hold after a position."""
    wanted = [Wanted(channel, after, most) for channel in channels]
    answer = await reader.read(wanted)
    return {each.channel: history for each, history in zip(wanted, answer.histories, strict=True) if history}


async def test_entries_name_the_channel_s_and_the_log_s_entry_before_them(redis: Redis) -> None:
    writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
    one, two, three = await writer.append(events("a", "b", "a"))
    first, second, third = await reader.newest(10)
    assert [entry.id for entry in (first, second, third)] == [one.id, two.id, three.id]
    assert [entry.log_before for entry in (first, second, third)] == [0, one.id, two.id]
    assert third.before == one.id
    assert {entry.generation for entry in (first, second, third)} == {(await reader.sync()).label}


async def test_a_channel_that_is_not_known_proves_a_day_of_silence_and_no_more(redis: Redis) -> None:
    await LogWriter(redis, KEYS, 0).append(events("a"))
    (entry,) = await LogReader(redis, KEYS, 0).newest(1)
    seconds, _ = await redis.time()
    assert abs(entry.before - id_at((seconds - 86_400) * 1000)) < id_at(5000)


async def test_a_history_holds_the_same_entries_under_the_same_ids(redis: Redis) -> None:
    writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
    one, other, two = await writer.append(events("a", "b", "a"))
    found = await histories(reader, one.id - 1, "abc")
    assert [entry.id for entry in found["a"].entries] == [one.id, two.id]
    assert found["a"].last == two.id
    assert found["b"].last == other.id
    assert not found["a"].more
    assert found["c"].entries == []
    assert found["c"].last < one.id
    assert (await histories(reader, one.id, "a", most=1))["a"].more
    assert (await reader.read([])).top == two.id


async def test_a_history_is_kept_by_its_channel_s_rule(redis: Redis) -> None:
    limits = LogLimits(history=HistoryPolicy("short:*=2/100000/60 big:*=1000/1000/60 none:*=0/0/0 long:*=100/100000/60 *=50/100000/3600"))
    writer = LogWriter(redis, KEYS, 0, limits)
    for _ in range(5):
        await writer.append(events(*["short:1"] * 100, *["none:1"] * 2, *["big:1"] * 300, "other", *["long:1"] * 200))
    assert await redis.xlen(KEYS.history(0, "short:1")) <= 200  # `~`: one node of the stream at most beyond
    assert await redis.xlen(KEYS.history(0, "big:1")) <= 300
    assert await redis.xlen(KEYS.history(0, "long:1")) <= 100 + 100 + 8  # one event in eight trims a long one
    assert await redis.exists(KEYS.history(0, "none:1")) == 0
    assert await redis.exists(KEYS.last(0, "none:1")) == 1
    assert 0 < await redis.ttl(KEYS.history(0, "short:1")) <= 60 < await redis.ttl(KEYS.history(0, "other"))


@pytest.mark.parametrize("count", [2, 1200], ids=["in one command", "one by one"])
async def test_last_ids_are_kept_and_their_ttl_with_them(redis: Redis, count: int) -> None:
    writer, channels = LogWriter(redis, KEYS, 0), [f"room:{index}" for index in range(count)]
    await writer.append(events(*channels))
    again = await writer.append(events(*channels))
    found = await histories(LogReader(redis, KEYS, 0), 0, channels, most=1)
    assert [found[channel].last for channel in channels] == [entry.id for entry in again]
    assert min([await redis.ttl(KEYS.last(0, channel)) for channel in channels]) > 86_400


async def test_a_key_is_appended_once_per_channel(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    (first,) = await writer.append(events("a", key="k"))
    again, elsewhere = await writer.append(events("a", "b", key="k"))
    assert (again.id, again.duplicate) == (first.id, True)
    assert not elsewhere.duplicate
    assert await redis.xlen(KEYS.log(0)) == 2


async def test_a_commit_runs_once_and_in_turn(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    assert await writer.raise_epoch(0, 1) == {}
    with pytest.raises(EarlyError):
        await writer.commit(0, 1, 2, [], events("a"))
    first = await writer.commit(0, 1, 1, [], events("a", "b"))
    assert await writer.commit(0, 1, 1, [], events("a", "b")) == first
    assert await redis.xlen(KEYS.log(0)) == 2
    await writer.commit(0, 1, 2, [], events("a"))
    assert await redis.xlen(KEYS.log(0)) == 3


async def test_a_deposed_holder_appends_nothing_and_its_outcomes_are_kept(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    await writer.raise_epoch(0, 1)
    first = await writer.commit(0, 1, 1, [], events("a"))
    assert await writer.raise_epoch(0, 2) == {outcome_field(1, 1): read_outcome(first)}
    assert await writer.raise_epoch(0, 2) == {outcome_field(1, 1): read_outcome(first)}
    with pytest.raises(RefusedError) as refused:
        await writer.commit(0, 1, 2, [], events("a"))
    assert refused.value.epoch == 2
    with pytest.raises(RefusedError):
        await writer.raise_epoch(0, 1)
    assert await redis.xlen(KEYS.log(0)) == 1


async def test_what_a_later_version_adds_to_a_shards_line_is_ignored(redis: Redis) -> None:
    writer, line = LogWriter(redis, KEYS, 0), KEYS.commits(0, 0)
    await writer.raise_epoch(0, 1)
    first = await writer.commit(0, 1, 1, [], events("a", "b"))
    await redis.hset(line, mapping={"x": "1", outcome_field(1, 1): first + b"\nlater 1"})  # type: ignore[misc]
    assert await writer.raise_epoch(0, 2) == {outcome_field(1, 1): read_outcome(first)}
    assert len(read_outcome(first)) == 2


async def test_what_is_named_is_forgotten(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    await writer.raise_epoch(0, 1)
    for number in (1, 2):
        await writer.commit(0, 1, number, [], events("a"))
    await writer.commit(0, 1, 3, [outcome_field(1, 1)], events("a"))
    await writer.forget(0, 1, [outcome_field(1, 2)])
    assert set(await writer.raise_epoch(0, 2)) == {outcome_field(1, 3)}


async def test_a_shard_that_lost_its_state_refuses_its_holder(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    await writer.raise_epoch(0, 7)
    await redis.flushall()
    with pytest.raises(RefusedError) as refused:
        await writer.commit(0, 7, 1, [], events("a"))
    assert refused.value.epoch == 0


async def test_trimming_leaves_the_newest_and_the_last_id(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0, LogLimits(bytes=20_000))
    for _ in range(20):
        await writer.append(events(*["a"] * 100))
    await writer.trim()
    kept = await redis.xlen(KEYS.log(0))
    assert 0 < kept < 500
    assert (await LogReader(redis, KEYS, 0).sync()).top == (await LogReader(redis, KEYS, 0).newest(1))[0].id


async def test_a_log_can_be_trimmed_while_redis_is_out_of_memory(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0, LogLimits(bytes=20_000))
    for _ in range(20):
        await writer.append(events(*["a"] * 100))
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(OutOfMemoryError):
            await writer.append(events("a"))
        await writer.trim()
    finally:
        await redis.config_set("maxmemory", 0)
    assert await redis.xlen(KEYS.log(0)) < 500


async def test_a_commit_waits_for_memory_also_where_it_names_what_is_forgotten(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    await writer.raise_epoch(0, 1)
    await writer.commit(0, 1, 1, [], events("a"))
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(OutOfMemoryError):
            await writer.commit(0, 1, 2, [outcome_field(1, 1)], events("a"))
    finally:
        await redis.config_set("maxmemory", 0)
    await writer.commit(0, 1, 2, [outcome_field(1, 1)], events("a"))
    assert set(await writer.raise_epoch(0, 2)) == {outcome_field(1, 2)}


@pytest.mark.parametrize("known", [False, True], ids=["a channel's first event", "a later one"])
async def test_keys_that_were_overwritten_make_no_append_fail_half_way(redis: Redis, known: bool) -> None:
    writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
    if known:
        await writer.append(events("a", "b", "c"))
    for name in (KEYS.history(0, "a"), KEYS.last(0, "b"), f"{KEYS.shard(0)}key:c k"):
        await redis.delete(name)
        await redis.lpush(name, "something else")  # type: ignore[misc]
    before = await redis.xlen(KEYS.log(0))
    assert (await histories(reader, 0, "ab"))["a"].entries == []
    first, second, third = await writer.append([*events("z", "a", "b")])
    (fourth,) = await writer.append([NewEvent("0", "c", BLOCK, "k")])
    assert await redis.xlen(KEYS.log(0)) == before + 4
    found = await histories(reader, first.id - 1, "abc")
    assert [[entry.id for entry in found[channel].entries] for channel in "abc"] == [[second.id], [third.id], [fourth.id]]
    assert found["b"].last == third.id
    assert await redis.ttl(KEYS.history(0, "a")) > 0
    assert await redis.ttl(KEYS.last(0, "b")) > 0


async def test_a_history_from_a_time_to_come_is_begun_anew(redis: Redis) -> None:
    writer, reader = LogWriter(redis, KEYS, 0), LogReader(redis, KEYS, 0)
    await writer.append(events("a"))
    await redis.xadd(KEYS.history(0, "a"), {"h": "", "b": ""}, "9999999999999-0")
    (entry,) = await writer.append(events("a"))
    assert [each.id for each in (await histories(reader, 0, "a"))["a"].entries] == [entry.id]
    assert await redis.xlen(KEYS.log(0)) == 2


async def test_every_key_that_is_left_has_a_ttl_or_a_bound(redis: Redis) -> None:
    writer = LogWriter(redis, KEYS, 0)
    await writer.raise_epoch(0, 1)
    await writer.commit(0, 1, 1, [], events("a", "client:x", key="k"))
    bounded = {KEYS.log(0), KEYS.generations(0), KEYS.commits(0, 0)}
    lasting = {key.decode() for key in await redis.keys() if await redis.ttl(key) < 0}
    assert lasting == bounded
