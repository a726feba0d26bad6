"""`tailrace edge --processes N`: several edges on one port, under one parent."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tailrace.events import Registry
from tailrace.wire import Keys
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import crowd, gives, metric
from tests.support.ports import free_ports
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until
from tests.system.checker import judge

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc to find the processes"),
]
SIZE = 2


def processes(edge: Service) -> list[int]:
    """Give the pids of a group that is running."""
    return [int(pid) for pid in Path(f"/proc/{edge.pid}/task/{edge.pid}/children").read_text().split()]


def all_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_one_process_killed_loses_nothing_and_comes_back(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    metrics = free_ports(SIZE)
    edge = start_edge(redis_url, processes=SIZE, metrics_port=metrics)
    assert edge.stdout == [f"tailrace edge ready on {edge.url}"]
    clients, sent, before = [SteadyClient([edge], ["a"]) for _ in range(20)], await log.append("a", times=0), processes(edge)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(client.run()) for client in clients]
        await wait_until(lambda: all(client.connects for client in clients))
        spread = [int(await metric(edge, metrics + number, "connections")) for number in range(SIZE)]
        assert sum(spread) == len(clients)
        for step in range(30):
            sent += await log.append("a")
            if step == 10:
                os.kill(before[spread.index(max(spread))], signal.SIGKILL)
            await wait_until(lambda: any(client.latest.get("a") == log.count - 1 for client in clients))
        await wait_until(lambda: all(client.latest.get("a") == sent[-1] for client in clients))
        await wait_until(lambda: len(processes(edge)) == SIZE)
        await wait_until(lambda: _answers(metrics, 200), timeout_s=10)
        assert sum(client.connects for client in clients) == len(clients) + max(spread)
        ending = asyncio.create_task(asyncio.to_thread(edge.terminate))
        await wait_until(lambda: all(client.drained for client in clients))
        for task in running:
            task.cancel()
    assert await ending == 0
    assert "ended by SIGKILL; it is started again in 0.1 s" in edge.stderr
    assert all(judge({"a": sent}, client.seen).clean and not client.notices for client in clients)
    await wait_until(lambda: gives(Registry(log.redis, Keys()).clients(), []))  # the killed one's, when its lease is over


async def _answers(metrics: int, status: int) -> bool:
    """Say whether each process answers so for itself."""
    async with httpx.AsyncClient() as client:
        try:
            answers = [await client.get(f"http://127.0.0.1:{metrics + number}/readyz") for number in range(SIZE)]
        except httpx.ConnectError:
            return False
    return [answer.status_code for answer in answers] == [status] * SIZE


async def test_a_thousand_connections_are_spread_evenly(start_edge: StartEdge, redis_url: str) -> None:
    metrics = free_ports(SIZE)
    edge = start_edge(redis_url, processes=SIZE, metrics_port=metrics)
    with crowd(edge, 1000):
        await wait_until(lambda: _have(edge, metrics, 1000))
        spread = [int(await metric(edge, metrics + number, "connections")) for number in range(SIZE)]
        print(f"1,000 connections on {SIZE} processes: {spread}")
        assert min(spread) > 400  # each is one of two, by chance: below it once in 10^10
        os.kill(edge.pid, signal.SIGINT)
        await wait_until(lambda: _answers(metrics, 503))
        async with asyncio.timeout(1.5):  # the drain alone takes 1.6 s
            assert await asyncio.to_thread(edge.terminate, signal.SIGINT) == 0


async def _have(edge: Service, metrics: int, count: int) -> bool:
    return sum([await metric(edge, metrics + number, "connections") for number in range(SIZE)]) == count


async def test_without_their_parent_processes_end(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, processes=SIZE)
    pids = processes(edge)
    assert len(pids) == SIZE
    edge.kill()
    await wait_until(lambda: all_gone(pids))


async def test_a_port_is_shared_within_a_group_only(start_edge: StartEdge, redis_url: str) -> None:
    port = start_edge(redis_url, processes=SIZE).url.rpartition(":")[2]
    for more in ((), ("--processes", "2")):
        with pytest.raises(RuntimeError, match=rf"--port: port {port} on 127.0.0.1 is taken"):
            Service("edge", "--redis", redis_url, "--port", port, *more).start()


async def test_what_is_wrong_at_the_start_is_said_once() -> None:
    with RedisServer("valkey", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        command = [sys.executable, "-m", "tailrace.cli", "edge", "--port", "0", "--processes", "3", "--redis", server.url]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.count("maxmemory-policy is 'allkeys-lru'") == 1
        refused = subprocess.run([*command, "--metrics-port", "65534"], capture_output=True, text=True, timeout=20, check=False)
        assert refused.returncode == 2
        assert "--metrics-port: the last of 3 processes would have 65536" in refused.stderr
