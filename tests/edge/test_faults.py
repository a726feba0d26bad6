"""What subscribers see when Redis goes, comes back, or comes back with less."""

import asyncio

import msgspec
import pytest
from redis.exceptions import OutOfMemoryError

from tailrace.events import Registry
from tailrace.wire import ALL, Keys
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import gives, is_in_state, log_on, numbers, readiness, sse
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


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


async def test_redis_restarts_under_an_edge(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url)
    async with log_on(redis_server) as log, sse(edge, channel="a") as client:
        await client.next("connect")
        sent = await log.append("a", times=5)
        redis_server.stop()
        await wait_until(lambda: is_in_state(edge, 200, "degraded"))
        assert await numbers(client, 5) == sent
        beats = len([event for event in client.events if event.event == "heartbeat"])
        await wait_until(lambda: len([e for e in client.events if e.event == "heartbeat"]) > beats + 1)
        async with sse(edge, channel="a") as newcomer:
            await newcomer.next("connect")  # let in all the same
            redis_server.start()
            await wait_until(lambda: is_in_state(edge, 200, "ready"))
            sent = await log.append("a", times=5)
            assert await numbers(client, 5) == sent
            assert await numbers(newcomer, 5) == sent
            recipients = Registry(log.redis, Keys()).recipients
            await wait_until(lambda: gives(recipients([ALL, "a"]), [2, 2]))
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


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
        await wait_until(lambda: is_in_state(edge, 200, "degraded"))
        for late in (sse(edge, cursor, channel="a"), sse(edge, channel="a", rewind=1), sse(edge, "1zzzzzAAAAAAA")):
            async with late:
                await late.until_ended()
                assert await late.data("busy") == {"reason": "redis", "retry_ms": late.retry_ms}
                assert (late.status, len(late.events)) == (200, 1)
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


async def test_starts_while_redis_is_full(start_edge: StartEdge, redis_server: RedisServer) -> None:
    async with log_on(redis_server) as log, sse(start_edge(redis_server.url), channel="a") as client:
        sent = await log.append("a", times=2)
        await numbers(client, 2)
        await log.redis.config_set("maxmemory", "1mb")
        with pytest.raises(OutOfMemoryError):
            await log.redis.set("anything", "more")
        another = start_edge(redis_server.url)
        async with sse(another, client.events[-2].id, channel="a") as late:
            assert await numbers(late, 1) == sent[1:]


def _has_said(edge: Service, text: str) -> bool:
    try:
        return text in edge.stderr
    except FileNotFoundError:  # not started yet
        return False


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


async def test_a_server_that_shuts_down_ends_a_guest_s_streams_without_a_traceback(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, "plugin on uvicorn h11")
    async with sse(edge) as client:
        await client.next("connect")
        await asyncio.to_thread(edge.terminate)
    assert "Traceback" not in edge.stderr


async def test_a_redis_that_answers_but_refuses_to_be_read_is_named_and_that_is_said_once(start_edge: StartEdge) -> None:
    with RedisServer("valkey") as server:
        async with log_on(server) as log:
            await log.redis.acl_setuser("reader", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=["+@all"])
            edge = start_edge(server.url.replace("redis://", "redis://reader:word@"))
            await log.redis.acl_setuser("reader", enabled=True, commands=["-xread"])
            await wait_until(lambda: is_in_state(edge, 200, "degraded"))
            assert (await readiness(edge))[1]["reason"] == "the Redis user lacks a permission"
            await log.append("a")
            await log.redis.acl_setuser("reader", enabled=True, commands=["+xread"])
            await wait_until(lambda: is_in_state(edge, 200, "ready"))
        assert edge.stderr.count("the Redis user lacks a permission") == edge.stderr.count("Redis is back") == 1
        assert "Redis is away" not in edge.stderr
