"""Clients that come all at once, with cursors older than the ring or for the last events, counted at a real Valkey."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.events import HistoryPolicy, LogLimits
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import numbers, sse
from tests.support.service import Service
from tests.support.stream import Block, open_stream
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
CLIENTS, EVENTS, OLD = 200, 100, 20


@asynccontextmanager
async def crowd(edge: Service, cursors: list[str], query: str = "channel=a") -> AsyncIterator[list[list[Block]]]:
    """Open a stream for each cursor, and give what each is sent."""
    url, sent = urlsplit(edge.url), [list[Block]() for _ in cursors]
    head = "GET /sse?{}&client_id={} HTTP/1.1\r\nHost: edge\r\nLast-Event-ID: {}\r\n\r\n"
    requests = [head.format(query, uuid.uuid4(), cursor).encode() for cursor in cursors]
    streams = await asyncio.gather(*[open_stream(url, request, blocks.append) for request, blocks in zip(requests, sent, strict=True)])
    try:
        yield sent
    finally:
        for stream in streams:
            stream.cut()


def numbers_of(blocks: list[Block]) -> list[int]:
    return [msgspec.json.decode(block.data)["n"] for block in blocks if block.event == "message"]


async def test_a_crowd_that_comes_back_shares_what_is_read(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    """Their cursors differ, and what is read from the oldest of them is enough for all."""
    edge = start_edge(redis_url, ring_entries=10)
    async with sse(edge, channel="a") as client:
        sent = await log.append("a", times=EVENTS)
        await numbers(client, EVENTS)
        ids = [event.id for event in client.events if event.event == "message"]
    await log.append("elsewhere", times=100)  # the ring has nothing of it any more
    await log.redis.config_resetstat()
    async with crowd(edge, [ids[number % OLD] for number in range(CLIENTS)]) as seen:
        await wait_until(lambda: all(numbers_of(blocks)[-1:] == sent[-1:] for blocks in seen), timeout_s=20)
        for number, blocks in enumerate(seen):
            assert numbers_of(blocks) == sent[number % OLD + 1 :]
            assert {block.event for block in blocks} <= {"connect", "message", "heartbeat"}
    stats = await log.redis.info("commandstats")
    rounds, reads = stats["cmdstat_mget"]["calls"], stats["cmdstat_xrange"]["calls"]
    print(f"{CLIENTS} clients: {rounds} questions to Redis, {reads - CLIENTS} histories read beside each client's own")
    assert rounds <= CLIENTS / 5
    assert reads <= CLIENTS + 3 * rounds  # its own channel is each client's own


async def test_a_crowd_that_can_share_little_does_not_ask_for_all_again_and_again(
    start_edge: StartEdge, redis_url: str, redis: Redis
) -> None:
    """Each has read another part of a history that is longer than an answer."""
    log = Log(redis, limits=LogLimits(history=HistoryPolicy("*=2000/20000000/3600")))
    edge = start_edge(redis_url, ring_entries=10)
    async with sse(edge, channel="a") as client:
        sent = await log.append("a", times=5 * EVENTS)
        await numbers(client, 5 * EVENTS)
        ids = [event.id for event in client.events if event.event == "message"]
    await log.append("elsewhere", times=100)
    await redis.config_resetstat()
    async with crowd(edge, ids[: 2 * CLIENTS : 2]) as seen:
        await wait_until(lambda: all(numbers_of(blocks[-3:])[-1:] == sent[-1:] for blocks in seen), timeout_s=20)
        for number, blocks in enumerate(seen):
            assert numbers_of(blocks) == sent[2 * number + 1 :]
    asked = (await redis.info("stats"))["total_net_input_bytes"] / CLIENTS
    print(f"{CLIENTS} clients, each elsewhere: {asked:.0f} bytes of questions to Redis for each")
    assert asked < 10_000


async def test_a_crowd_that_wants_the_last_events_shares_where_they_begin(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        sent = await log.append("a", times=EVENTS)
        await numbers(client, EVENTS)
    await log.redis.config_resetstat()
    async with crowd(edge, [""] * CLIENTS, "channel=a&rewind=5") as seen:
        await wait_until(lambda: all(len(numbers_of(blocks)) == 5 for blocks in seen), timeout_s=20)
        assert all(numbers_of(blocks) == sent[-5:] for blocks in seen)
    reads = (await log.redis.info("commandstats"))["cmdstat_xrevrange"]["calls"]
    print(f"{CLIENTS} clients: {reads - CLIENTS} histories read beside each client's own")
    assert reads <= CLIENTS * 1.5  # of `a`, `all` and each client's own channel


async def test_histories_longer_than_an_answer_come_whole(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    """In rounds, each bounded by the bytes that it brings; some ask for more channels than others."""
    await log.append("elsewhere")  # a cursor of an empty log is older than anything
    edge = start_edge(redis_url, ring_entries=1)
    rooms = [f"room:{number}" for number in range(12)]
    async with sse(edge, channel=rooms) as many, sse(edge, channel=rooms[0]) as one:
        for client in (many, one):
            assert (await client.next("connect")).id
            await client.drop()
        sent = {room: await log.append(room, times=30, filler=5000) for room in rooms}
        for client in (many, one):
            await client.reconnect()
        assert await numbers(one, 30) == sent[rooms[0]]
        assert await numbers(many, 360, timeout_s=20) == [number for room in rooms for number in sent[room]]
        assert {event.event for event in many.events} <= {"connect", "message", "heartbeat"}
