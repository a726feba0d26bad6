"""Logs on a Cluster of three primaries, and all of Redis behind Sentinels: under load slots move, primaries fail over and die."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import anyio
import pytest

from tailrace.wire import bucket
from tests.support.cluster import Cluster, Watched
from tests.support.redis import Kind, RedisServer
from tests.support.service import Service
from tests.support.steady import SteadyClient, SteadyProducer, at
from tests.support.wait import wait_until
from tests.system.checker import Verdict, judge

pytestmark = pytest.mark.anyio
SHARDS, CLIENTS, RATE, LOAD_S, AT_S = 4, 3, 25, 3, 0.5
LOGS = [f"tailrace:{{{shard}}}:log" for shard in range(SHARDS)]


def channels(house: str) -> list[str]:
    """Name a channel of each shard."""
    rooms = [f"{house}:{number}" for number in range(100)]
    return [next(room for room in rooms if bucket(room, SHARDS) == shard) for shard in range(SHARDS)]


@dataclass
class System:
    edges: list[Service]
    ingest: Service
    worker: Service

    def said(self) -> str:
        """What its processes wrote, for a test that fails."""
        return "\n".join(f"{service.pid}:\n{service.stderr}" for service in (self.worker, *self.edges, self.ingest))


@contextmanager
def running(logs: str, queue: str, *worker_settings: str) -> Iterator[System]:
    at_logs, at_queue = ("--redis", logs, "--shards", str(SHARDS)), ("--queue-redis", queue)
    worker = Service("worker", *at_logs, *at_queue, *worker_settings)
    edges = [Service("edge", *at_logs) for _ in range(2)]
    ingest = Service("ingest", "--redis", logs, *at_queue)
    with ExitStack() as stack:
        stack.enter_context(worker)
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, [*edges, ingest]))
        yield System(edges, ingest, worker)


async def arrived(system: System, clients: list[SteadyClient], accepted: dict[str, list[int]]) -> None:
    try:
        await wait_until(lambda: all(client.has(accepted) for client in clients), timeout_s=30)
    except TimeoutError:
        latest = [client.latest for client in clients]
        due = {channel: numbers[-1] for channel, numbers in accepted.items()}
        pytest.fail(f"accepted {due}, seen {latest}\n{system.said()}")


async def under_load(system: System, action: Callable[[], object], *, house: str = "room", resets: bool = False) -> None:
    """Push to a channel of each shard at a steady rate, do something meanwhile, and hold what each client saw against that."""
    clients = [SteadyClient(system.edges, channels(house), first) for first in range(CLIENTS)]
    producers = [SteadyProducer(system.ingest, channel, RATE) for channel in channels(house)]
    accepted = {producer.channel: producer.numbers for producer in producers}
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in clients), timeout_s=10)
        group.start_soon(at, AT_S, action)
        async with anyio.create_task_group() as load:
            for producer in producers:
                load.start_soon(producer.run, LOAD_S)
        await arrived(system, clients, accepted)
        group.cancel_scope.cancel()
    verdict = sum([judge(accepted, client.seen) for client in clients], Verdict())
    wrong = f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, reordered {len(verdict.reordered)}"
    print(f"{sum(map(len, accepted.values()))} accepted; {wrong}")
    assert verdict == Verdict()
    assert [pair for client in clients for pair in client.receded] == []
    notices = {notice for client in clients for notice in client.notices}
    assert notices == set() or (resets and all(notice.startswith("reset") for notice in notices))


def on(short: Kind) -> pytest.MarkDecorator:
    """Run a test on one kind of server in the short tier, and on both in the long one."""
    both: tuple[Kind, Kind] = "valkey", "redis"
    return pytest.mark.parametrize("kind", [kind if kind == short else pytest.param(kind, marks=pytest.mark.prove) for kind in both])


@pytest.fixture
def queue() -> Iterator[RedisServer]:
    with RedisServer("valkey", "--appendonly", "yes") as server:
        yield server


def tailrace(*arguments: str) -> str:
    command = [sys.executable, "-m", "tailrace.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


@on("redis")
async def test_slots_move_under_load(kind: Kind, queue: RedisServer) -> None:
    with Cluster(kind) as cluster, running(cluster.url, queue.url) as system:
        before = [cluster.owner(key) for key in LOGS]
        assert len(set(before)) == 3

        def move() -> None:
            cluster.migrate(LOGS[0], pause_s=0.02)
            if kind == "valkey":
                cluster.migrate_at_once(LOGS[1])
            else:
                cluster.migrate(LOGS[1], pause_s=0.02)

        await under_load(system, move)
        assert [cluster.owner(key) for key in LOGS[:2]] != before[:2]
        at_logs = ("--redis", cluster.url)
        assert len(tailrace("clients", *at_logs, "--json").splitlines()) in range(CLIENTS + 1)
        found = tailrace("doctor", *at_logs, "--queue-redis", queue.url)
        assert found.count("nothing is evicted") == 4
        assert "workers: 1" in found
        assert "queue can't be on a Cluster" in tailrace("doctor", *at_logs)


@on("valkey")
async def test_primaries_fail_over_under_load(kind: Kind, queue: RedisServer) -> None:
    """First one whose replica takes over, gracefully; then one that is killed."""
    with Cluster(kind, replicas=True) as cluster, running(cluster.url, queue.url, "--min-replicas", "1") as system:
        await under_load(system, lambda: cluster.fail_over(cluster.owner(LOGS[0])))
        victim = cluster.owner(LOGS[1])
        await under_load(system, lambda: cluster.kill(victim), house="hall", resets=True)
        assert cluster.owner(LOGS[1]) is cluster.replica_of(victim)


@on("valkey")
async def test_sentinels_fail_over_under_load(kind: Kind) -> None:
    with Watched(kind) as watched, running(watched.url, watched.url, "--min-replicas", "1") as system:
        await under_load(system, watched.fail_over, resets=kind == "redis")


@on("redis")
async def test_a_primary_that_sentinels_watch_is_killed_under_load(kind: Kind, queue: RedisServer) -> None:
    """The queue is elsewhere: what it had accepted and no replica had yet would be lost with it."""
    with Watched(kind) as watched, running(watched.url, queue.url, "--min-replicas", "1") as system:
        await under_load(system, watched.primary.kill, resets=True)
