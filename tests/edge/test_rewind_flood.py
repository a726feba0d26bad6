"""What clients that ask for the past and leave at once, or ask with thousands of parameters, can make an edge spend."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import metric, sse
from tests.support.flood import dial
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc to see CPU time")]
CHANNELS, EVENTS, REQUESTS, LIMIT = 100, 100, 200, 5


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def request(number: int) -> bytes:
    """Write a request that shares its question with no other."""
    query = "&".join([f"channel=c:{channel}" for channel in range(CHANNELS)])
    return f"GET /sse?rewind={1000 - number}&{query} HTTP/1.1\r\nHost: edge\r\n\r\n".encode()


@pytest.fixture
async def full(log: Log) -> Log:
    """Give a log whose channels all have a history."""
    for channel in range(CHANNELS):
        await log.append(f"c:{channel}", times=EVENTS, filler=200)
    return log


async def test_rewinds_closed_at_once_cost_little(start_edge: StartEdge, redis_url: str, full: Log) -> None:
    del full
    port = free_port()
    edge = start_edge(redis_url, metrics_port=port)
    before = cpu_s(edge.pid)
    for number in range(REQUESTS):
        with dial(edge.url) as connection:
            connection.sendall(request(number))
    await wait_until(lambda: _is_quiet(edge, port), timeout_s=60)
    used = cpu_s(edge.pid) - before
    print(f"{REQUESTS} rewinds of {CHANNELS} channels, closed at once: {used:.2f} s of CPU")
    assert used < 2


@pytest.mark.parametrize("size", [7 << 10, 31 << 10], ids=["past the HTTP protocol", "through it"])
async def test_thousands_of_parameters_are_400_and_cost_little(start_edge: StartEdge, redis_url: str, size: int) -> None:
    edge = start_edge(redis_url)
    head = b"GET /sse?channel=c%b HTTP/1.1\r\nHost: edge\r\n\r\n" % (b"&a" * (size // 2))
    before = cpu_s(edge.pid)
    for _ in range(REQUESTS):
        with dial(edge.url) as connection:
            connection.sendall(head)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    used = (cpu_s(edge.pid) - before) / REQUESTS
    print(f"a request with {size // 2} parameters: {used * 1000:.1f} ms of CPU")
    assert used < 0.005


async def test_rewinds_count_before_they_are_served(start_edge: StartEdge, redis_url: str, full: Log) -> None:
    del full
    edge = start_edge(redis_url, max_connections_per_address=LIMIT)
    connections: list[socket.socket] = []
    for number in range(8):
        connections.append(dial(edge.url))
        connections[-1].sendall(request(number))
    try:
        answers = [
            connection.recv(1 << 16, socket.MSG_WAITALL) if number >= LIMIT else b"" for number, connection in enumerate(connections)
        ]
    finally:
        for connection in connections:
            connection.close()
    assert all(answer for answer in answers[LIMIT:])
    assert not any(b"event: connect" in answer for answer in answers[LIMIT:])
    await wait_until(lambda: _has_room(edge))


async def test_a_rewind_is_the_same_for_histories_longer_and_shorter_than_it(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    long, short = await log.append("long", times=50), await log.append("short", times=3)
    edge = start_edge(redis_url)  # which has read everything once clients can connect
    async with sse(edge, channel=["long", "short", "empty"], rewind=5) as client:
        await client.next("connect")
        found = [(await client.data())["n"] for _ in range(8)]
    assert sorted(found) == sorted([*long[-5:], *short])


async def _is_quiet(edge: Service, port: int) -> bool:
    """Say whether nobody is there, and a second's work is next to nothing."""
    before = cpu_s(edge.pid)
    with suppress(TimeoutError):
        await wait_until(lambda: False, timeout_s=1)
    return cpu_s(edge.pid) - before < 0.2 and await metric(edge, port, "connections") == 0


async def _has_room(edge: Service) -> bool:
    async with sse(edge) as client:
        with suppress(Exception):
            await client.next("connect")
            return True
    return False
