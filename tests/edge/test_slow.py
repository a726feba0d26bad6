"""Slow clients cost a cursor, not a buffer."""

from pathlib import Path

import pytest

from tailrace.events import Registry
from tailrace.wire import Keys
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import SlowClient, gives, metric, numbers, sse
from tests.support.ports import free_port
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc to see memory")
async def test_slow_clients_share_what_they_wait_for(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    metrics, clients = free_port(), 200
    edge = start_edge(redis_url, metrics_port=metrics)
    slow = [SlowClient(edge, "a") for _ in range(clients)]
    for client in slow:
        await client.read_until(b"heartbeat_s")
    await log.append("elsewhere", filler=1_000_000)  # so that what one takes is there already
    async with sse(edge, channel="a") as healthy:
        await healthy.next("connect")
        before = _kibibytes(edge.pid)
        for _ in range(2):
            await log.append("a", filler=1_000_000)
        assert await numbers(healthy, 2) == [1, 2]
        await wait_until(lambda: gives(metric(edge, metrics, "behind"), clients))
        each = (_kibibytes(edge.pid) - before) / clients
        print(f"{each:.0f} KiB for each of {clients} clients that read nothing of 2 events of 1 MB")
        assert each < 64  # a copy would be 1,000
    for client in slow:
        client.close()


def _kibibytes(pid: int) -> int:
    """Give what a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
