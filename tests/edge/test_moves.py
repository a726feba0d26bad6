"""What an edge notices of the Redis that it reads: frozen, demoted, detached, or one shard's primary away."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from tailrace.redis import connect
from tailrace.wire import Keys, bucket
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import is_in_state, log_on, numbers, readiness, sse
from tests.support.cluster import Cluster, ask
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.relay import Relay
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
NOTICED_S = 5


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def noticed(edge: Service) -> float:
    """Wait until the edge says that it is degraded, and return the seconds that took."""
    began = time.monotonic()
    await wait_until(lambda: is_in_state(edge, 200, "degraded"), timeout_s=NOTICED_S)
    return time.monotonic() - began


async def test_a_frozen_redis_is_noticed_and_clients_stay(start_edge: StartEdge, redis_server: RedisServer) -> None:
    edge = start_edge(redis_server.url, registry_lease_s=15)
    async with log_on(redis_server) as log, sse(edge, channel="a") as client:
        sent = await log.append("a")
        assert await numbers(client, 1) == sent
        with frozen(redis_server):
            print(f"noticed after {await noticed(edge):.1f} s")
            await client.next("heartbeat")
        await wait_until(lambda: is_in_state(edge, 200, "ready"))
        sent = await log.append("a", times=3)
        assert await numbers(client, 3) == sent
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_a_primary_that_is_demoted_is_noticed(start_edge: StartEdge, redis_server: RedisServer) -> None:
    with RedisServer("valkey") as other:
        edge = start_edge(redis_server.url, registry_lease_s=15)
        async with log_on(redis_server) as log:
            await log.append("a")
            await wait_until(lambda: is_in_state(edge, 200, "ready"))
            ask(redis_server.port, "REPLICAOF", "127.0.0.1", other.port)
            print(f"noticed after {await noticed(edge):.1f} s")
            ask(redis_server.port, "REPLICAOF", "NO", "ONE")
            await wait_until(lambda: is_in_state(edge, 200, "ready"))


class Address:
    """A TCP address that can be pointed elsewhere: what is connected stays where it is, as behind a balancer or a moved name."""

    def __init__(self, port: int) -> None:
        self.target, self.port = port, free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:  # who is there no more refuses
                    client.close()
                    continue
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one, other:
            while part := one.recv(1 << 16):
                other.sendall(part)
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which `close` alone doesn't
        self._listener.close()


async def test_a_server_that_an_address_left_behind_is_left(start_edge: StartEdge) -> None:
    """The old primary lives on, detached: it answers whoever is connected, and its log doesn't move any more."""
    with RedisServer("valkey", "--repl-diskless-sync-delay", "0") as old, RedisServer("valkey") as new:
        ask(new.port, "REPLICAOF", "127.0.0.1", old.port)
        address = Address(old.port)
        edge = start_edge(f"redis://127.0.0.1:{address.port}/0", registry_lease_s=15)
        async with log_on(old) as before, log_on(new) as after, sse(edge, channel="a") as client:
            kept = await before.append("a", times=3)
            assert await numbers(client, 3) == kept
            await wait_until(lambda: ask(new.port, "XLEN", "tailrace:{0}:log") == 3)
            address.target = new.port
            ask(new.port, "REPLICAOF", "NO", "ONE")
            after.count = before.count
            sent = await after.append("a", times=3)
            assert await numbers(client, 3, timeout_s=NOTICED_S) == sent
            assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}
        address.close()


async def test_a_reader_that_hears_nothing_while_the_log_moves_is_noticed(start_edge: StartEdge, redis_server: RedisServer) -> None:
    """All other connections are well, new ones too."""
    async with Relay(redis_server.port) as relay, log_on(redis_server) as log:
        edge = await asyncio.to_thread(start_edge, f"redis://{relay.address}/0", registry_lease_s=15)
        async with sse(edge, channel="a") as client:
            sent = await log.append("a")
            assert await numbers(client, 1) == sent
            relay.silent = lambda line: b"XREAD" in line.sent
            sent = await log.append("a", times=3)
            print(f"noticed after {await noticed(edge):.1f} s")
            relay.silent = lambda _: False
            assert await numbers(client, 3) == sent
            await wait_until(lambda: is_in_state(edge, 200, "ready"))
            assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


async def test_one_primary_away_costs_its_own_shards_alone(start_edge: StartEdge) -> None:
    with Cluster() as cluster:
        edge = start_edge(cluster.url, shards=3)
        rooms = [next(f"room:{n}" for n in range(100) if bucket(f"room:{n}", 3) == shard) for shard in range(3)]
        async with connect(cluster.url) as redis, sse(edge, channel=rooms) as client:
            log = Log(redis, 3)
            await client.next("connect")
            victim = cluster.owner(log.keys.log(0))
            assert {cluster.owner(log.keys.log(shard)) for shard in (1, 2)} == {cluster.primaries[1]} != {victim}
            with frozen(victim):
                await noticed(edge)
                assert "shard 0 is away" in (await readiness(edge))[1]["reason"]
                sent = await log.append(rooms[1]) + await log.append(rooms[2])
                assert sorted(await numbers(client, 2)) == sent
            await wait_until(lambda: is_in_state(edge, 200, "ready"))
            sent = await log.append(rooms[0])
            assert await numbers(client, 1) == sent
            assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}


@pytest.mark.parametrize(
    ("key", "shards", "reason"),
    [(Keys().log(0), 3, "the Redis of shard 0 is away"), (Keys().layout(), 1, "the Redis of tailrace:layout is away")],
)
async def test_a_primary_that_is_away_at_the_start_is_named_and_waited_for(key: str, shards: int, reason: str) -> None:
    with Cluster() as cluster, ExitStack() as stack:
        victim, port = cluster.owner(key), free_port()
        assert victim is not cluster.owner(Keys().log(shards - 1))
        victim.kill()
        edge = Service("edge", "--redis", cluster.url, "--shards", str(shards), "--port", str(port))
        starting = asyncio.create_task(asyncio.to_thread(stack.enter_context, edge))
        edge.url = f"http://127.0.0.1:{port}"
        found = await wait_until(lambda: listening(edge), timeout_s=20)
        assert found == (503, {"state": "starting", "reason": reason})
        async with sse(edge, channel="a") as early:
            await early.until_ended()
            assert await early.data("busy") == {"reason": "starting", "retry_ms": early.retry_ms}
            assert (early.status, len(early.events)) == (200, 1)
        assert not edge.stdout
        victim.start()
        await starting
        assert await readiness(edge) == (200, {"state": "ready"})
        async with connect(cluster.url) as redis, sse(edge, channel="a") as client:
            await client.next("connect")
            sent = await Log(redis, shards).append("a")
            assert await numbers(client, 1) == sent


async def listening(edge: Service) -> tuple[int, dict[str, str]] | None:
    with suppress(httpx.ConnectError):
        return await readiness(edge)
    return None


async def test_a_primary_without_a_shard_is_not_waited_for(start_edge: StartEdge) -> None:
    with Cluster() as cluster:
        needed = {cluster.owner(key) for key in (Keys().log(0), Keys().layout())}
        next(node for node in cluster.primaries if node not in needed).kill()
        assert await readiness(start_edge(cluster.url, shards=1)) == (200, {"state": "ready"})


async def test_a_primary_without_a_shard_costs_nothing(start_edge: StartEdge) -> None:
    with Cluster() as cluster:
        edge = start_edge(cluster.url, shards=1)
        async with connect(cluster.url) as redis, sse(edge, channel="a") as client:
            log, victim = Log(redis), cluster.primaries[1]
            assert cluster.owner(log.keys.log(0)) is not victim
            with frozen(victim):
                for _ in range(10):  # of 0.3 s: longer than a probe waits
                    await client.next("heartbeat")
                sent = await log.append("a")
                assert await numbers(client, 1) == sent
                assert "away" not in edge.stderr


async def test_a_failover_before_the_first_event_resets_nobody(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await wait_until(lambda: log.redis.exists(log.keys.generations(0)))
        await log.redis.hset(log.keys.generations(0), "replid", "another's")  # type: ignore[misc]
        sent = await log.append("a")
        assert await numbers(client, 1) == sent
        await wait_until(lambda: "goes from generation" in edge.stderr)
        sent = await log.append("a")
        assert await numbers(client, 1) == sent
        assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}
    assert "lost events" not in edge.stderr
