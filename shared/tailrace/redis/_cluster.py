"""A Redis or Valkey Cluster, seen as one client."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, ConnectionError as RedisConnectionError, MovedError, NoScriptError, RedisError, ResponseError

from tailrace.redis._refusal import refusal
from tailrace.redis._urls import Address
from tailrace.wire import SetupError

T = TypeVar("T")
_HOPS = 5
_LOOK_S = 1.0
_MOVED = re.compile(r"(?:MOVED )?\d+ (?P<host>\S*):(?P<port>\d+)")


class View(NamedTuple):
    """What a node says of its Cluster."""

    whole: bool
    """Whether it sees enough of the Cluster to serve."""
    slots: list[tuple[range, Address]]
    """Slots with their primary."""
    replicas: list[Address]


class ClusterRedis(Redis):
    """A client whose commands each go to the primary that has their first key's slot.

    All of a shard's keys are in one slot, and each of our commands and scripts is about one shard, so no more of a
    Cluster's client is needed. A MOVED was not executed, and goes on to where it points. Everything else is passed on as
    the trouble of any Redis, and the Cluster's map is asked for anew before the next command. An ASK isn't followed: while
    a slot is on its way from one node to another neither has all of its keys, and our scripts wait (`generation.lua`).
    """

    def __init__(self, seeds: Iterable[Address], make: Callable[[Address], Redis]) -> None:
        """Connect at the first use, first to the seeds. `make` makes a node's client."""
        super().__init__()
        self._make, self._seeds = make, tuple(seeds)
        self._nodes = {address: make(address) for address in self._seeds}
        self._view = View(whole=True, slots=[], replicas=[])
        self._owners: dict[int, Address] = {}
        self._scripts: dict[str, str] = {}
        self._stale, self._looking = True, asyncio.Lock()

    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override]
        """Note a script's text too: each node has scripts of its own."""
        made = super().register_script(script)
        self._scripts[made.sha] = script
        return made

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node that has its key. Raises redis.RedisError, SetupError: this is no Cluster."""
        return await self.at(_key(args), lambda node: self._send(node, args, options))

    async def at(self, key: bytes, action: Callable[[Redis], Awaitable[T]]) -> T:
        """Do something with the client of the node that has a key; elsewhere again, if that node says where the key is.

        Raises redis.RedisError, SetupError.
        """
        slot = key_slot(key)
        for _ in range(_HOPS):
            node = await self._owner(slot)
            try:
                return await action(node)
            except ResponseError as error:
                self._learn(slot, error)
            except (RedisError, OSError):
                self._stale = True
                raise
        raise RedisConnectionError(f"slot {slot} is moved again and again")

    async def primaries(self) -> list[Redis]:
        """Return a client of each primary. Raises redis.RedisError, SetupError."""
        self._stale = True
        await self._look()
        return [self._node(address) for address in dict.fromkeys(address for _, address in self._view.slots)]

    async def disconnect(self) -> None:
        """Close all connections; what comes next connects anew, where it has to."""
        self._stale = True
        for node in list(self._nodes.values()):  # others may look for nodes meanwhile
            await node.connection_pool.disconnect()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close for good."""
        for node in list(self._nodes.values()):
            await node.aclose(close_connection_pool)

    async def _owner(self, slot: int) -> Redis:
        await self._look()
        owner = self._owners.get(slot) or next((address for slots, address in self._view.slots if slot in slots), None)
        if owner is None:
            self._stale = True
            raise RedisConnectionError(f"no node of the Cluster has slot {slot}")
        self._owners[slot] = owner
        return self._node(owner)

    async def _send(self, node: Redis, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return await node.execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except NoScriptError:
            text = self._scripts.get(args[1]) if args[0] == "EVALSHA" else None
            if text is None:
                raise
            return await node.execute_command("EVAL", text, *args[2:], **options)  # type: ignore[no-untyped-call]

    def _learn(self, slot: int, error: ResponseError) -> None:
        """Take what a MOVED says; raise what else a node refused."""
        code = str(error)  # redis-py 5 leaves it as it came, 8 makes a class of its first word
        moved = _MOVED.fullmatch(code) if isinstance(error, MovedError) or code.startswith("MOVED") else None
        if not moved:
            self._stale = self._stale or isinstance(error, ClusterDownError) or code.startswith("CLUSTERDOWN")
            raise error
        if moved["host"]:
            self._owners[slot] = moved["host"], int(moved["port"])
        else:  # a node that doesn't know its own name
            self._stale = True

    def _node(self, address: Address) -> Redis:
        if address not in self._nodes:
            self._nodes[address] = self._make(address)
        return self._nodes[address]

    async def _look(self) -> None:
        """Ask for the map, if something has cast doubt on it; all nodes at once, for some may be away."""
        if not self._stale:
            return
        async with self._looking:
            if self._stale:
                self._view = await self._best_view()
                self._owners.clear()
                self._stale = False
                await self._forget_strangers()

    async def _best_view(self) -> View:
        """Return the first view of a node that sees a whole Cluster, else any. A node cut off from the others sees none."""
        known = dict.fromkeys([*self._seeds, *(address for _, address in self._view.slots), *self._view.replicas])
        tasks = [asyncio.create_task(_view(self._node(address), address)) for address in known]
        partial, troubles, refused = None, [], None
        try:
            for answer in asyncio.as_completed(tasks, timeout=_LOOK_S):
                try:
                    view = await answer
                except (RedisError, OSError) as error:  # TimeoutError is an OSError
                    troubles.append(str(error) or "no answer in time")
                    refused = error if refusal(error) else refused
                else:
                    if view.whole:
                        return view
                    partial = partial or view
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if partial:
            return partial
        if any("cluster support disabled" in trouble for trouble in troubles):
            raise SetupError("this Redis is no Cluster: its URL begins with redis:// or rediss://")
        raise RedisConnectionError("no node of the Cluster answers: " + "; ".join(dict.fromkeys(troubles))) from refused

    async def _forget_strangers(self) -> None:
        known = {*self._seeds, *(address for _, address in self._view.slots), *self._view.replicas}
        for address in [address for address in self._nodes if address not in known]:
            await self._nodes.pop(address).connection_pool.disconnect()


async def _view(node: Redis, asked: Address) -> View:
    state = await node.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]
    rows = await node.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
    return View(
        b"cluster_state:ok" in state,
        [(range(first, last + 1), _address(primary, asked)) for first, last, primary, *_ in rows],
        [_address(replica, asked) for _, _, _, *replicas in rows for replica in replicas],
    )


def _address(node: Sequence[Any], asked: Address) -> Address:
    """Read an endpoint; one without a name is on the host that was asked."""
    return (node[0] or b"").decode() or asked[0], int(node[1])


def _key(args: Sequence[Any]) -> bytes:
    """Return a command's first key; any, where it has none."""
    command = str(args[0]).upper()
    if command in ("EVALSHA", "EVAL"):
        key = args[3]
    elif command == "XREAD":
        key = args[[*map(str, args)].index("STREAMS") + 1]
    else:
        key = args[1] if args[1:] else b""
    return key if isinstance(key, bytes) else str(key).encode()
