"""Slow clients cost a cursor, not a buffer."""

import pytest

from tailrace.log import Registry
from tailrace.wire import Keys
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import SlowClient, free_port, gives, metric, numbers, sse
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KINDS = ["tailrace edge", "plugin on uvicorn h11", "plugin on uvicorn httptools", "plugin on granian", "plugin on hypercorn"]


@pytest.mark.parametrize("kind", KINDS)
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
    port = free_port()
    edge = start_edge(redis_url, ring_entries=100, metrics_port=port)
    slow = SlowClient(edge, "a")
    await slow.read_until(b"heartbeat_s")
    for _ in range(30):
        await log.append("a", times=100, filler=2000)
    assert await wait_until(lambda: metric(edge, port, "fell_behind_total"))
    await slow.read_until(b"not there")
    assert await metric(edge, port, "cut_total") == 1
    slow.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_without_progress_is_cut(start_edge: StartEdge, redis_url: str, log: Log, kind: str) -> None:
    edge = start_edge(redis_url, kind, stall_s=0.5)
    slow = SlowClient(edge, "a")
    await slow.read_until(b"heartbeat_s")
    for _ in range(20):
        await log.append("a", times=100, filler=2000)
    recipients = Registry(log.redis, Keys()).recipients
    await wait_until(lambda: gives(recipients(["a"]), [0]))
    slow.close()
