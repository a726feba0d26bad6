"""Each part is killed under load; no client misses anything, gets anything twice, or out of order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import anyio
import pytest

from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.steady import SteadyClient, SteadyProducer, at
from tests.support.wait import wait_until
from tests.system.checker import Verdict, judge

pytestmark = pytest.mark.anyio
CLIENTS, RATE, LOAD_S, KILLED_AT_S = 20, 50, 4, 1.5


@dataclass
class System:
    redis: RedisServer
    edges: list[Service]
    workers: list[Service]
    """The first one holds the queue."""
    ingest: Service


@pytest.fixture
def system(redis_server: RedisServer) -> Iterator[System]:
    at_redis = ("--redis", redis_server.url)
    services = [Service(command, *at_redis) for command in ("worker", "edge", "edge", "ingest", "worker")]
    with ExitStack() as stack:
        stack.enter_context(services[0])
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, services[1:]))
        holder, one, other, ingest, standby = services
        yield System(redis_server, [one, other], [holder, standby], ingest)


def restart(part: Service | RedisServer) -> None:
    part.kill()
    part.start()


VICTIMS: dict[str, Callable[[System], None]] = {
    "nobody": lambda _: None,
    "edge": lambda system: restart(system.edges[0]),
    "the worker that holds the queue": lambda system: restart(system.workers[0]),
    "ingest": lambda system: restart(system.ingest),
    "Valkey": lambda system: restart(system.redis),
}


async def under_load(system: System, victim: str, *, resumes: bool = True) -> list[Verdict]:
    """Push at a steady rate, kill the victim meanwhile, and judge what each client saw."""
    clients = [SteadyClient(system.edges, ["room:1"], first, resumes=resumes) for first in range(CLIENTS)]
    producer = SteadyProducer(system.ingest, "room:1", RATE)
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in clients))
        group.start_soon(at, KILLED_AT_S, lambda: VICTIMS[victim](system))
        await producer.run(LOAD_S)
        await wait_until(lambda: all(client.has(producer.accepted) for client in clients), timeout_s=15)
        group.cancel_scope.cancel()
    verdicts = [judge(producer.accepted, client.seen) for client in clients]
    print(
        f"{victim} killed: {len(producer.numbers)} accepted, {producer.repeats} sent again, "
        f"{sum(client.connects for client in clients) - CLIENTS} reconnects; lost {sum(len(v.lost) for v in verdicts)}, "
        f"doubled {sum(len(v.doubled) for v in verdicts)}, reordered {sum(len(v.reordered) for v in verdicts)}"
    )
    assert [notice for client in clients for notice in client.notices] == []
    assert [pair for client in clients for pair in client.receded] == []
    return verdicts


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_kill_costs_no_client_anything(system: System, victim: str) -> None:
    assert [verdict for verdict in await under_load(system, victim) if not verdict.clean] == []


async def test_without_their_cursors_clients_miss_what_came_meanwhile(system: System) -> None:
    assert any(verdict.lost for verdict in await under_load(system, "edge", resumes=False))
