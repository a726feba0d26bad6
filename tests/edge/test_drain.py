"""How an edge ends, and what it does with more clients than it takes."""

import asyncio
import os
import signal

import pytest
from redis.asyncio import Redis

from tailrace.events import Registry
from tailrace.wire import Keys
from tests.edge.conftest import StartEdge
from tests.edge.test_handover import REQUEST, connection, read_until
from tests.edge.tools import SlowClient, crowd, gives, is_in_state, log_on, metric, numbers, readiness, sse
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


async def test_drains_and_ends_with_status_0(start_edge: StartEdge, redis_url: str, redis: Redis) -> None:
    edge = start_edge(redis_url, drain_s=3)
    async with sse(edge, channel="a") as one, sse(edge, channel="a") as two:
        await one.next("connect")
        await two.next("connect")
        with crowd(edge, 400):
            ending = asyncio.create_task(asyncio.to_thread(edge.terminate))
            await wait_until(lambda: is_in_state(edge, 503, "draining"))
            async with sse(edge) as late:
                await late.until_ended()
                assert await late.data("busy") == {"reason": "draining", "retry_ms": late.retry_ms}
                assert len(late.events) == 1
            for client in (one, two):
                assert (await client.data("drain"))["retry_ms"] == client.retry_ms
                await client.until_ended()
            assert await ending == 0
    assert await Registry(redis, Keys()).clients() == []
    assert [key async for key in redis.scan_iter("*edge:*")] == []


async def test_who_is_being_registered_as_a_drain_begins_is_sent_away_like_all(start_edge: StartEdge, redis_server: RedisServer) -> None:
    metrics = free_port()
    edge = start_edge(redis_server.url, metrics_port=metrics)
    async with log_on(redis_server) as log:
        await log.redis.execute_command("CLIENT", "PAUSE", 1000, "WRITE")  # type: ignore[no-untyped-call]
        with connection(edge, REQUEST) as plain, connection(edge, REQUEST[:-2] + b"x: \xe9\r\n\r\n") as other:
            await wait_until(lambda: gives(metric(edge, metrics, "connections"), 2))
            ending = asyncio.create_task(asyncio.to_thread(edge.terminate))
            for stream in (plain, other):
                text = await asyncio.to_thread(read_until, stream, b"not there")
                assert b"event: drain" in text
                assert text.endswith(b"\r\n0\r\n\r\n")
            assert await ending == 0


async def test_a_second_signal_ends_at_once(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, drain_s=60)
    with crowd(edge, 1500):
        os.kill(edge.pid, signal.SIGINT)
        await wait_until(lambda: is_in_state(edge, 503, "draining"))
        async with asyncio.timeout(5):  # the drain alone would take 7.5 s
            assert await asyncio.to_thread(edge.terminate) == 0


async def test_neither_a_redis_that_hangs_nor_clients_that_read_nothing_hold_a_drain_up(
    start_edge: StartEdge, redis_server: RedisServer
) -> None:
    edge = start_edge(redis_server.url, drain_s=1)
    slow = [SlowClient(edge, "a") for _ in range(20)]
    async with log_on(redis_server) as log, sse(edge, channel="a") as healthy:
        for client in slow:
            await client.read_until(b"heartbeat_s")
        await healthy.next("connect")
        for _ in range(5):
            await log.append("a", times=100, filler=2000)
        await numbers(healthy, 500)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):  # a second for the clients, two for Redis
                assert await asyncio.to_thread(edge.terminate) == 0
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        await healthy.next("drain")
    for client in slow:
        client.close()


async def test_overload_is_put_off_and_degraded(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, max_connections=1)
    async with sse(edge) as client, sse(edge) as late:
        await client.next("connect")
        await late.until_ended()
        assert await late.data("busy") == {"reason": "full", "retry_ms": late.retry_ms}
        assert (late.status, len(late.events), late.last_event_id) == (200, 1, None)
        status, health = await readiness(edge)
        assert (status, health["state"]) == (200, "degraded")
        assert "1 streams are open" in health["reason"]
