"""Rewinds that break off at any event, and are resumed at the same edge or another: exactly what was asked for arrives."""

from itertools import pairwise

import pytest
from redis.asyncio import Redis

from tailrace.events import HistoryPolicy, LogLimits
from tailrace.wire import ALL, bucket, decode_cursor
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import numbers, sse
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.steady import recedes

pytestmark = pytest.mark.anyio
SHARDS = 2
OLD, MIXED, BUSY = (
    next(f"{name}{n}" for n in range(99) if bucket(f"{name}{n}", SHARDS) == shard)
    for name, shard in (("old", 0), ("mixed", 1), ("busy", 0))
)
CHANNELS = [OLD, MIXED, BUSY, "silent"]


async def fill(log: Log) -> list[int]:
    """Append to all channels, and return what a rewind by 2 has to begin with, in the order of the shards' logs."""
    old = await log.append(OLD, times=3)
    mixed = await log.append(MIXED, times=3)
    busy = await log.append(BUSY, times=60)
    mixed += await log.append(MIXED)
    to_all = await log.append(ALL, times=3)
    shards: list[list[int]] = [[], []]
    for channel, sent in ((OLD, old), (MIXED, mixed), (BUSY, busy), (ALL, to_all)):
        shards[bucket(channel, SHARDS)] += sent[-2:]
    return sorted(shards[0]) + sorted(shards[1])


async def read_all(edge: Service, log: Log) -> None:
    """Wait until an edge has read what was appended."""
    async with sse(edge, channel="marker") as client:
        await client.next("connect")
        await log.append("marker")
        await client.next()


async def seen_from(edge: Service, cursor: str | None, last: int, **options: int) -> SSEClient:
    """Read a stream up to an event."""
    async with sse(edge, cursor, channel=CHANNELS, **options) as client:
        while (await client.data())["n"] != last:
            pass
        return client


def numbers_of(client: SSEClient) -> list[int]:
    return [int(event.json()["n"]) for event in client.events if event.event == "message"]


@pytest.mark.parametrize("ring_entries", [1000, 2], ids=["from the ring", "from histories"])
async def test_a_rewind_that_breaks_off_gives_the_events_asked_for_and_no_others(
    start_edge: StartEdge, redis_url: str, redis: Redis, ring_entries: int
) -> None:
    log = Log(redis, SHARDS)
    edge, other = [start_edge(redis_url, shards=SHARDS, ring_entries=ring_entries) for _ in range(2)]
    wanted = await fill(log)
    for each in (edge, other):
        await read_all(each, log)
    whole = await seen_from(edge, None, wanted[-1], rewind=2)
    assert numbers_of(whole) == wanted
    ids = [event.id for event in whole.events]
    assert not any(recedes(before, after) for before, after in pairwise(ids))
    assert all(len(cursor) <= 128 for cursor in ids)
    wanted += await log.append(OLD, times=1) + await log.append(MIXED, times=1)
    for number, event in enumerate(whole.events):
        before = numbers_of(whole)[: sum(each.event == "message" for each in whole.events[: number + 1])]
        for at in (edge, other):
            again = await seen_from(at, event.id, wanted[-1], rewind=2)
            assert sorted(before + numbers_of(again)) == sorted(wanted), (number, event)
            assert {each.event for each in again.events} <= {"connect", "message", "heartbeat"}
            assert again.events[0].id == event.id


async def test_what_was_trimmed_since_a_rewind_broke_off_is_a_gap(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    log = Log(redis, limits=LogLimits(history=HistoryPolicy("*=4/1000000/3600")))
    edge = start_edge(redis_url, ring_entries=2)
    sent = await log.append("a", times=10)
    await read_all(edge, log)
    async with sse(edge, channel="a", rewind=3) as client:
        cursor = (await client.next("connect")).id
        assert await numbers(client, 3) == sent[-3:]
    history = log.keys.history(0, "a")
    assert await redis.xtrim(history, maxlen=1, approximate=False)
    async with sse(edge, cursor, channel="a") as client:
        gap = await client.data("gap")
        assert gap["channel"] == "a"
        assert await numbers(client, 1) == sent[-1:]
    (entry,) = await redis.xrange(history)
    assert gap["next"] == entry[0].decode()
    await redis.delete(history)
    async with sse(edge, cursor, channel="a") as client:
        assert (await client.data("gap"))["channel"] == "a"


async def test_channels_with_fewer_events_than_a_rewind_asks_for_have_no_gap(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url, ring_entries=2)
    sent = await log.append("a", times=5)
    b = await log.append("b", times=2)
    await log.append("elsewhere", times=50)
    await read_all(edge, log)
    async with sse(edge, channel=["a", "b", "silent"], rewind=60) as client:
        cursor = (await client.next("connect")).id
    for _ in range(2):
        async with sse(edge, cursor, channel=["a", "b", "silent"]) as client:
            assert await numbers(client, 7) == sent + b
            assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_events_that_come_while_a_rewind_is_away_are_served_after_it(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    sent = await log.append("a", times=5)
    await read_all(edge, log)
    async with sse(edge, channel="a", rewind=2) as client:
        await client.next("connect")
        await client.drop()
        client.last_event_id = client.events[0].id
        client.events.clear()
        client._read = 0
        more = await log.append("a", times=10)
        await client.reconnect()
        assert await numbers(client, 12) == sent[-2:] + more


async def test_a_forged_mark_resets_or_is_bounded(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    sent = await log.append("a", times=5)
    await read_all(edge, log)
    async with sse(edge, channel="a") as client:
        cursor = (await client.next("connect")).id
        assert decode_cursor(cursor, 1)
    for mark in ("-", "-x", "-BACA", "-AACA-B", "-AACA-B-", "-AACA-B-A-A", "--", "-AAAA"):
        async with sse(edge, cursor + mark, channel="a") as client:
            assert (await client.next(None)).id == ""
            assert (await client.next(None)).event == "reset"
    async with sse(edge, f"{cursor}-A________", channel="a") as client:
        assert await numbers(client, 5) == sent
