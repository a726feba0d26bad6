"""What subscribers see when something goes: histories, Redis, edges, clients."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.log import HistoryPolicy, LogLimits, Registry, connect
from tailrace.wire import ALL, Keys
from tests.edge.conftest import Log, StartEdge
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


def sse(edge: Service, last_event_id: str | None = None, **params: object) -> SSEClient:
    return SSEClient(f"{edge.url}/sse", last_event_id, **params)


@asynccontextmanager
async def log_on(server: RedisServer, shards: int = 1) -> AsyncIterator[Log]:
    client = connect(server.url)
    try:
        yield Log(client, shards)
    finally:
        await client.aclose()


async def readiness(edge: Service) -> tuple[int, dict[str, str]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{edge.url}/readyz")
    return answer.status_code, msgspec.json.decode(answer.content)


async def metric(edge: Service, port: int, name: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(f"tailrace_edge_{name} ")).split()[1])


async def numbers(client: SSEClient, count: int, timeout_s: float = 5) -> list[int]:
    return [(await client.data(timeout_s=timeout_s))["n"] for _ in range(count)]


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


async def test_a_flushed_redis_resets(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await log.append("a", times=3)
        await numbers(client, 3)
        await log.redis.flushall()
        reset = await client.next("reset")
        assert reset.id
        assert "lost" in msgspec.json.decode(reset.data)["reason"]
        sent = await log.append("a")
        assert await numbers(client, 1) == sent


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


async def test_another_number_of_shards_is_refused(start_edge: StartEdge, redis_url: str) -> None:
    start_edge(redis_url, shards=2)
    with pytest.raises(RuntimeError, match=r"(?s)`shards` is 1 here and 2 in Redis"):
        start_edge(redis_url)


async def test_redis_restarts_under_an_edge(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url)
    async with log_on(redis_server) as log, sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a", times=5)
        redis_server.stop()
        await wait_until(lambda: _is(edge, 200, "degraded"))
        assert await numbers(client, 5) == sent
        beats = len([event for event in client.events if event.event == "heartbeat"])
        await wait_until(lambda: len([e for e in client.events if e.event == "heartbeat"]) > beats + 1)
        async with sse(edge, channel="a") as newcomer:
            await newcomer.next("connect")  # let in all the same
            redis_server.start()
            await wait_until(lambda: _is(edge, 200, "ready"))
            sent = await log.append("a", times=5)
            assert await numbers(client, 5) == sent
            assert await numbers(newcomer, 5) == sent
            recipients = Registry(log.redis, Keys()).recipients
            await wait_until(lambda: _equals(recipients([ALL, "a"]), [2, 2]))
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def _is(edge: Service, status: int, state: str) -> bool:
    found = await readiness(edge)
    return (found[0], found[1]["state"]) == (status, state)


async def _equals(found: object, wanted: object) -> bool:
    return bool(await found == wanted)  # type: ignore[misc]


async def test_redis_killed_under_load_loses_and_repeats_nothing_it_kept(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url)
    async with log_on(redis_server) as log, sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a", times=50)
        await client.drop()
        await asyncio.to_thread(redis_server.stop)
        await asyncio.to_thread(redis_server.start)
        sent += await log.append("a", times=50)
        await client.reconnect()
        assert await numbers(client, len(sent)) == sent


async def test_a_resume_that_needs_redis_is_put_off_while_it_is_away(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url, ring_entries=1)
    async with log_on(redis_server) as log, sse(edge, channel="a") as client:
        cursor = (await client.next("connect")).id
        await log.append("a", times=5)
        await numbers(client, 5)
        redis_server.kill()
        await wait_until(lambda: _is(edge, 200, "degraded"))
        for late in (sse(edge, cursor, channel="a"), sse(edge, channel="a", rewind=1), sse(edge, "1zzzzzAAAAAAA")):
            async with late:
                await late.until_ended()
                assert (late.status, late.events) == (200, [])
                assert 150 <= (late.retry_ms or 0) <= 450


async def test_waits_for_redis_at_start(redis_server: RedisServer) -> None:
    redis_server.kill()
    edge = Service("edge", "--redis", redis_server.url)
    starting = asyncio.create_task(asyncio.to_thread(edge.start))
    await wait_until(lambda: _has_said(edge, "waiting for Redis"), timeout_s=15)
    assert not starting.done()
    await asyncio.to_thread(redis_server.start)
    await starting
    assert await readiness(edge) == (200, {"state": "ready"})
    edge.__exit__()


def _has_said(edge: Service, text: str) -> bool:
    try:
        return text in edge.stderr
    except FileNotFoundError:  # not started yet
        return False


async def test_clients_of_a_killed_edge_vanish_with_its_lease(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url, lease_s=1)
    registry = Registry(redis, Keys())
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        assert [info.channels[0] for info in await registry.clients()] == ["a"]
        edge.kill()
        await wait_until(lambda: _equals(registry.recipients([ALL]), [0]), timeout_s=3)
        assert await registry.clients() == []


async def test_an_edge_whose_part_is_gone_writes_it_anew(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url)
    registry = Registry(redis, Keys())
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await redis.delete(*[key async for key in redis.scan_iter("*edge*")])
        await wait_until(lambda: _equals(registry.recipients([ALL, "a"]), [1, 1]))


async def test_drains_and_ends_with_status_0(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url, drain_s=3)
    async with sse(edge, channel="a") as one, sse(edge, channel="a") as two:
        await one.next("connect")
        await two.next("connect")
        with crowd(edge, 400):
            ending = asyncio.create_task(asyncio.to_thread(edge.terminate))
            await wait_until(lambda: _is(edge, 503, "draining"))
            async with sse(edge) as late:
                await late.until_ended()
                assert (late.status, late.events) == (200, [])
                assert late.retry_ms
            for client in (one, two):
                assert (await client.data("drain"))["retry_ms"] == client.retry_ms
                await client.until_ended()
            assert await ending == 0
    assert await Registry(redis, Keys()).clients() == []
    assert [key async for key in redis.scan_iter("*edge:*")] == []


async def test_a_second_signal_ends_at_once(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, drain_s=60)
    with crowd(edge, 1500):
        os.kill(edge.pid, signal.SIGINT)
        await wait_until(lambda: _is(edge, 503, "draining"))
        async with asyncio.timeout(5):  # the drain alone would take 7.5 s
            assert await asyncio.to_thread(edge.terminate) == 0


@contextmanager
def crowd(edge: Service, size: int) -> Iterator[None]:
    """Hold so many streams open, and read none of them."""
    address = urlsplit(edge.url)
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=5)) for _ in range(size)]
        for connection in connections:
            connection.sendall(b"GET /sse HTTP/1.1\r\nHost: edge\r\n\r\n")
        connections[-1].recv(64)  # the last one is in, and so are all
        yield


async def test_overload_is_put_off_and_degraded(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, max_connections=1)
    async with sse(edge) as client, sse(edge) as late:
        await client.next("connect")
        await late.until_ended()
        assert (late.status, late.events) == (200, [])
        status, health = await readiness(edge)
        assert (status, health["state"]) == (200, "degraded")
        assert "1 streams are open" in health["reason"]


class SlowClient:
    """A socket that reads nothing until it is told to."""

    def __init__(self, edge: Service, channel: str) -> None:
        address = urlsplit(edge.url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
        self._socket.connect((address.hostname, address.port))
        self._socket.sendall(f"GET /sse?channel={channel} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        self.text = b""

    async def read_until(self, text: bytes, timeout_s: float = 10) -> None:
        """Read up to some text, or to the end of the stream."""
        self._socket.settimeout(0)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            while text not in self.text[-4096:] and (part := await loop.sock_recv(self._socket, 1 << 12)):
                self.text += part

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("kind", ["tailrace edge", "plugin on uvicorn h11"])
async def test_a_slow_client_is_behind_then_live_again(start_edge: StartEdge, redis_url: str, log: Log, kind: str) -> None:
    edge = start_edge(redis_url, kind)
    slow = SlowClient(edge, "a")
    await slow.read_until(b"heartbeat_s")
    async with sse(edge, channel="a") as healthy:
        await healthy.next("connect")
        sent = []
        for _ in range(20):
            sent += await log.append("a", times=100, filler=2000)
        assert await numbers(healthy, len(sent)) == sent
        await slow.read_until(b'"n":%d,' % sent[-1])
        (last,) = await log.append("a")
        await slow.read_until(b'"n":%d,' % last)
    found = [int(part.split(b",")[0]) for part in slow.text.split(b'{"n":')[1:]]
    assert found == [*sent, last]
    slow.close()


async def test_a_slow_client_out_of_the_ring_is_cut(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    port = _free_port()
    edge = start_edge(redis_url, ring_entries=100, metrics_port=port)
    slow = SlowClient(edge, "a")
    await slow.read_until(b"heartbeat_s")
    for _ in range(30):
        await log.append("a", times=100, filler=2000)
    assert await wait_until(lambda: metric(edge, port, "fell_behind_total"))
    await slow.read_until(b"not there")
    assert await metric(edge, port, "cut_total") == 1
    slow.close()


@pytest.mark.parametrize("kind", ["tailrace edge", "plugin on uvicorn h11"])
async def test_a_client_without_progress_is_cut(start_edge: StartEdge, redis_url: str, log: Log, kind: str) -> None:
    edge = start_edge(redis_url, kind, stall_s=0.5)
    slow = SlowClient(edge, "a")
    await slow.read_until(b"heartbeat_s")
    for _ in range(20):
        await log.append("a", times=100, filler=2000)
    recipients = Registry(log.redis, Keys()).recipients
    await wait_until(lambda: _equals(recipients(["a"]), [0]))
    slow.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_entries_that_are_not_ours_are_passed_over(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    port = _free_port()
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


async def test_events_that_redis_lost_reset_who_saw_them_and_nobody_else(start_edge: StartEdge) -> None:
    with RedisServer("valkey") as server:
        edge = start_edge(server.url)
        async with log_on(server) as log, sse(edge, channel="a") as saw, sse(edge, channel="a") as left:
            for client in (saw, left):
                await client.next("connect")
            kept = await log.append("a", times=2)
            assert await numbers(left, 2) == kept
            await left.drop()
            kept = await log.append("a", times=3)
            await log.redis.save()
            await log.append("a", times=5)
            await numbers(saw, 10)
            server.kill()
            server.start()
            assert (await saw.next("reset")).id
            await left.reconnect()
            assert await numbers(left, 3) == kept
            new = await log.append("a", times=2)
            assert await numbers(saw, 2) == new
            assert await numbers(left, 2) == new
            assert {event.event for event in left.events} <= {"connect", "message", "heartbeat"}


async def test_a_cursor_ahead_of_redis_itself_resets(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        cursor = (await client.next("connect")).id
    async with sse(edge, cursor[:6] + "zzzzzzz", channel="a") as forged:
        assert (await forged.next(None)).id == ""
        assert (await forged.next(None)).event == "reset"
        sent = await log.append("a")
        assert await numbers(forged, 1) == sent
