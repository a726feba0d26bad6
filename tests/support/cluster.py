"""Redis and Valkey as Clusters and behind Sentinels, on loopback: real processes that tests move, fail over and kill."""

import itertools
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

import redis

from tests.support.ports import free_port
from tests.support.redis import Kind, RedisServer, executable
from tests.support.wait import wait_until_sync

SLOTS = 16_384
_NODE_TIMEOUT_MS = 2000
_READY_S = 15


class ClusterNode(RedisServer):
    def __init__(self, kind: Kind) -> None:
        self.bus_port = free_port()
        options = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
        }
        super().__init__(kind, *[word for name, value in options.items() for word in (f"--{name}", value)])

    def ask(self, *command: object) -> Any:
        return ask(self.port, *command)

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))


class Cluster:
    """Three primaries that share the slots, and if asked for a replica of each."""

    def __init__(self, kind: Kind = "valkey", *, replicas: bool = False) -> None:
        self._stack = ExitStack()
        self.primaries = [ClusterNode(kind) for _ in range(3)]
        self.replicas = [ClusterNode(kind) for _ in range(3 if replicas else 0)]
        """The nth one is the nth primary's."""

    @property
    def nodes(self) -> list[ClusterNode]:
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        """Name two of the nodes; the others are found."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.primaries[:2])

    def owner(self, key: str) -> ClusterNode:
        """Return the primary that has a key's slot."""
        slot = self.slot(key)
        for first, last, (_, port, *_), *_ in self._alive().ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody has slot {slot}")

    def slot(self, key: str) -> int:
        return int(self._alive().ask("CLUSTER", "KEYSLOT", key))

    def replica_of(self, node: ClusterNode) -> ClusterNode:
        return self.replicas[self.primaries.index(node)]

    def migrate(self, key: str, pause_s: float = 0) -> None:
        """Move a key's slot to the next primary as redis-cli does: key by key, while clients go on."""
        slot, source = self.slot(key), self.owner(key)
        target = next(node for node in itertools.cycle(self.primaries) if node is not source)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            time.sleep(pause_s)
        for node in (target, source, *self.primaries):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def migrate_at_once(self, key: str) -> None:
        """Move a key's slot to the next primary as a whole, which Valkey 9 can."""
        slot, source = self.slot(key), self.owner(key)
        target = next(node for node in itertools.cycle(self.primaries) if node is not source)
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        wait_until_sync(lambda: self.owner(key) is target, _READY_S)

    def fail_over(self, node: ClusterNode) -> None:
        """Make a primary's replica the primary, the graceful way."""
        replica = self.replica_of(node)
        replica.ask("CLUSTER", "FAILOVER")
        wait_until_sync(lambda: replica.ask("ROLE")[0] == "master", _READY_S)

    def kill(self, node: ClusterNode) -> None:
        """Kill a primary, and start it again when its replica has become the primary: then it is that one's replica."""
        replica = self.replica_of(node)
        node.kill()
        wait_until_sync(lambda: ask(replica.port, "ROLE")[0] == "master", _READY_S)
        node.start()

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.enter_context(node)
        first, *others = self.nodes
        for number, node in enumerate(self.nodes, start=1):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in others:
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus_port)
        bounds = [SLOTS * part // 3 for part in range(4)]
        for node, start, end in zip(self.primaries, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        wait_until_sync(lambda: all(self._sees_all(node) for node in self.nodes), _READY_S)
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.id)
        wait_until_sync(lambda: all(replica.ask("ROLE")[3:4] == ["connected"] for replica in self.replicas), _READY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _sees_all(self, node: ClusterNode) -> bool:
        info = node.ask("CLUSTER", "INFO")
        wanted = ("cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}", f"cluster_slots_assigned:{SLOTS}")
        return set(wanted) <= set(info.split())

    def _alive(self) -> ClusterNode:
        for node in self.nodes:
            try:
                node.ask("PING")
            except redis.RedisError:
                continue
            return node
        raise LookupError("no node is alive")


class Watched:
    """A primary that needs a replica to take anything, two replicas, and three Sentinels that watch them."""

    def __init__(self, kind: Kind = "redis") -> None:
        # A primary that has lost its replica refuses, so what it takes while another is promoted isn't lost with it.
        options = ("--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1")
        self.primary = RedisServer(kind, *options)
        self.replicas = [RedisServer(kind, *options) for _ in range(2)]
        self._kind: Kind = kind
        self._sentinels: list[Sentinel] = []
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self._sentinels) + "/events"

    def fail_over(self) -> None:
        """Have the Sentinels make a replica the primary, while all live; Valkey waits until it has everything, Redis 7 doesn't."""
        ask(self._sentinels[0].port, "SENTINEL", "FAILOVER", "events", *(["COORDINATED"] if self._kind == "valkey" else []))

    def __enter__(self) -> Self:
        for server in (self.primary, *self.replicas):
            self._stack.enter_context(server)
        for replica in self.replicas:
            ask(replica.port, "REPLICAOF", "127.0.0.1", self.primary.port)
        wait_until_sync(lambda: all(ask(replica.port, "ROLE")[3] == "connected" for replica in self.replicas), _READY_S)
        self._sentinels = [self._stack.enter_context(Sentinel(self._kind, self.primary.port)) for _ in range(3)]
        wait_until_sync(lambda: all(sentinel.knows(2, 2) for sentinel in self._sentinels), _READY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Sentinel(RedisServer):
    def __init__(self, kind: Kind, primary_port: int) -> None:
        super().__init__(kind)
        binary = executable(kind)
        file = self.data_dir / "sentinel.conf"
        file.write_text(
            f"sentinel monitor events 127.0.0.1 {primary_port} 2\n"
            "sentinel down-after-milliseconds events 1000\nsentinel failover-timeout events 3000\n"
        )
        self._command: Sequence[str] = (str(binary), str(file), "--sentinel")

    def knows(self, others: int, replicas: int) -> bool:
        port = self.port
        return len(ask(port, "SENTINEL", "SENTINELS", "events")) == others and len(ask(port, "SENTINEL", "REPLICAS", "events")) == replicas


def ask(port: int, *command: object) -> Any:
    """Send one command, and return its answer as it came, bytes as text."""
    with redis.Redis(port=port, decode_responses=True, socket_timeout=5) as client:
        client.response_callbacks.clear()
        return client.execute_command(*command)
