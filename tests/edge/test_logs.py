"""What subscribers see of logs that are trimmed, sharded, or hold what isn't ours."""

import os
import signal

import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.events import HistoryPolicy, LogLimits
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import metric, numbers, sse
from tests.support.later import later_scripts
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio


async def test_resumes_from_histories_where_the_ring_is_too_short(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    await log.append("a")
    edge = start_edge(redis_url, ring_entries=5)
    async with sse(edge, channel=["a", "b"]) as client:
        await client.next("connect")
        await client.drop()
        sent = []
        for _ in range(20):
            sent += await log.append("a", times=3) + await log.append("b")
            await log.append("other", times=4)
        await client.reconnect()
        assert await numbers(client, len(sent)) == sent
        sent = await log.append("b")
        assert await numbers(client, 1) == sent
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_says_what_histories_have_lost(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    log = Log(redis, limits=LogLimits(history=HistoryPolicy("none=0/0/0 *=10/262144/3600")))
    await log.append("calm")
    edge = start_edge(redis_url, ring_entries=2)
    async with sse(edge, channel=["a", "none", "calm"]) as client:
        connect = await client.next("connect")
        await client.drop()
        (calm,) = await log.append("calm")
        await log.append("none")
        sent = await log.append("a", times=300)
        await client.reconnect()
        await client.next("connect")
        gaps = [await client.next("gap"), await client.next("gap")]
        assert {msgspec.json.decode(gap.data)["channel"] for gap in gaps} == {"a", "none"}
        assert {gap.id for gap in gaps} == {connect.id}
        assert await numbers(client, 1) == [calm]
        (first,) = await numbers(client, 1)
        assert sent[0] < first
        assert await numbers(client, sent[-1] - first) == list(range(first + 1, sent[-1] + 1))
        assert len([event for event in client.events if event.event == "gap"]) == 2


async def test_three_shards_share_one_cursor(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    log = Log(redis, 3)
    edges = [start_edge(redis_url, shards=3, ring_entries=4) for _ in range(2)]
    channels = [f"room:{n}" for n in range(8)]
    async with sse(edges[0], channel=channels) as client:
        assert (await client.next("connect")).id.count(".") == 2
        sent = [(await log.append(channel))[0] for channel in channels * 2]
        assert sorted(await numbers(client, len(sent))) == sent
        await client.drop()
        sent = [(await log.append(channel))[0] for channel in channels * 5]
        await client.reconnect(f"{edges[1].url}/sse")
        assert sorted(await numbers(client, len(sent))) == sent
        (number,) = await log.append("room:3")
        assert await numbers(client, 1) == [number]
        per_channel: dict[str, list[int]] = {}
        for event in client.events:
            if event.event == "message":
                data = msgspec.json.decode(event.data)
                per_channel.setdefault(data["channel"], []).append(data["n"])
        assert all(found == sorted(set(found)) for found in per_channel.values())
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


@pytest.mark.parametrize("kept", [10, 0])
async def test_an_edge_that_fell_off_the_log_goes_on_from_histories(start_edge: StartEdge, redis_url: str, log: Log, kept: int) -> None:
    await log.append("a")
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        os.kill(edge.pid, signal.SIGSTOP)
        sent = await log.append("a", times=1)  # Redis has sent this one to the blocked reader
        for _ in range(5):
            sent += await log.append("a", times=10)
        await log.redis.xtrim(log.keys.log(0), kept, approximate=False)
        os.kill(edge.pid, signal.SIGCONT)
        assert await numbers(client, len(sent)) == sent
        sent = await log.append("a")
        assert await numbers(client, 1) == sent
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}
    assert "was trimmed past this reader" in edge.stderr


async def test_entries_that_are_not_ours_are_passed_over(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    port = free_port()
    edge = start_edge(redis_url, metrics_port=port)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a")
        for fields in ({b"x": b"y"}, {b"h": b"a 1-1 x 1-1", b"b": b"no block"}, {b"h": b"\xff", b"b": b"event: x\ndata: \n\n"}):
            await log.redis.xadd(log.keys.log(0), fields)  # type: ignore[arg-type]
        sent += await log.append("a", times=2)
        assert await numbers(client, 3) == sent
        assert await metric(edge, port, "foreign_entries_total") == 3
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_entries_that_speak_for_the_edge_are_passed_over(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    """They could give clients a cursor or a `retry:`, or tell them of a reset."""
    port = free_port()
    edge = start_edge(redis_url, metrics_port=port)
    blocks = [
        b"event: message\ndata: 0\nid: 1zzzzzAAAAAAA\n\n",
        b"event: message\nretry: 999999999\ndata: 0\n\n",
        b"event: message\ndata: 0\ndata: 0\nid\n\n",
        *[b"event: %b\ndata: {}\n\n" % name for name in (b"reset", b"drain", b"busy", b"denied", b"error")],
    ]
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a")
        for block in blocks:
            ((last, fields),) = await log.redis.xrevrange(log.keys.log(0), count=1)
            _, _, generation, _ = fields[b"h"].split(b" ")
            await log.redis.xadd(log.keys.log(0), {b"h": b"a %b %b %b" % (last, generation, last), b"b": block})
        sent += await log.append("a", times=2)
        assert await numbers(client, 3) == sent
        assert await metric(edge, port, "foreign_entries_total") == len(blocks)
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}
        await client.reconnect()
        sent = await log.append("a")
        assert await numbers(client, 1) == sent


async def test_entries_of_a_later_version_are_delivered_live_and_from_histories(
    start_edge: StartEdge, redis_url: str, redis: Redis, log: Log
) -> None:
    with later_scripts():
        later = Log(redis)
    later.count = 100
    port = free_port()
    edge = start_edge(redis_url, metrics_port=port, ring_entries=1)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a") + await later.append("a", times=3) + await log.append("a")
        assert await numbers(client, 5) == sent
        await client.drop()
        sent = await later.append("a", times=3) + await log.append("a")
        await client.reconnect()
        assert await numbers(client, 4) == sent
        assert await metric(edge, port, "foreign_entries_total") == 0
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_a_cursor_ahead_of_redis_itself_resets(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        cursor = (await client.next("connect")).id
    async with sse(edge, cursor[:6] + "zzzzzzz", channel="a") as forged:
        assert (await forged.next(None)).id == ""
        assert (await forged.next(None)).event == "reset"
        sent = await log.append("a")
        assert await numbers(forged, 1) == sent


async def test_another_number_of_shards_is_refused(start_edge: StartEdge, redis_url: str) -> None:
    start_edge(redis_url, shards=2)
    with pytest.raises(RuntimeError, match=r"(?s)`shards` is 1 here and 2 in Redis"):
        start_edge(redis_url)
