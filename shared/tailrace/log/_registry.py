"""The registry in Redis: edges write their part under a lease, and whoever asks counts."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from tailrace.log._scripts import script
from tailrace.wire import EDGE_FORMAT, ClientEntry, ClientInfo, Keys, decode_client, encode_client

LEASE_S, AWAY_S = 15.0, 30.0
AWAY = -1
"""What `recipients` says of a client that left a moment ago."""


class Registry:
    """Reads the registry, and writes an edge's part of it."""

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float = LEASE_S, away_s: float = AWAY_S) -> None:
        self._redis, self._keys, self._lease_s, self._away_s = redis, keys, lease_s, away_s
        self._register, self._recipients = (redis.register_script(script(name)) for name in ("register", "recipients"))

    async def register(
        self,
        edge: str,
        clients: Mapping[str, ClientEntry | None],
        counts: Mapping[str, int],
        *,
        whole: bool = False,
    ) -> bool:
        """Write what changed, or with `whole` all that the edge has, and renew its lease.

        A client that is None has left and stays *away* for a while; a count of 0 is taken out. Returns whether the
        edge's part was there: if not, nothing was written, and all has to be said anew. Raises redis.RedisError.
        """
        sets = [part for client, entry in clients.items() if entry for part in (f"c:{client}", encode_client(entry))]
        sets += [part for channel, count in counts.items() if count for part in (f"n:{channel}", str(count).encode())]
        sets += ["format", str(EDGE_FORMAT)] if whole else []
        gone = [f"c:{client}" for client, entry in clients.items() if not entry]
        gone += [f"n:{channel}" for channel, count in counts.items() if not count]
        away = [part for client, entry in clients.items() for part in (self._keys.away(client), 0 if entry else round(self._away_s * 1000))]
        args = [edge, round(self._lease_s * 1000), int(whole), len(sets) // 2, *sets, len(gone), *gone, *away]
        return bool(await self._register(keys=[self._keys.edge(edge), self._keys.edges(), self._keys.shared()], args=args))

    async def leave(self, edge: str) -> None:
        """Take an edge that ends, and all its clients, out of the registry."""
        await self._redis.delete(self._keys.edge(edge))
        await self._redis.zrem(self._keys.edges(), edge)

    async def recipients(self, channels: Sequence[str]) -> list[int]:
        """Count the clients connected in each channel; AWAY for the own channel of one that left a moment ago.

        Raises redis.RedisError.
        """
        if not channels:
            return []
        args = [self._keys.edge(""), self._keys.away(""), *channels]
        return list(await self._recipients(keys=[self._keys.edges(), self._keys.shared()], args=args))

    async def lowest_format(self) -> int:
        """Return the lowest format (EDGE_FORMAT of its version) of all registered edges; 0 where an edge names none, or none is registered.

        Raises redis.RedisError.
        """
        edges: list[bytes] = await self._redis.zrange(self._keys.edges(), 0, -1)
        formats = [await cast("Awaitable[bytes | None]", self._redis.hget(self._keys.edge(edge.decode()), "format")) for edge in edges]
        return min([int(each or 0) for each in formats], default=0)

    async def clients(self) -> list[ClientInfo]:
        """List all connected clients, in the order in which they came. Raises redis.RedisError."""
        edges: list[bytes] = await self._redis.zrange(self._keys.edges(), 0, -1)
        found = [client for edge in edges for client in await self._clients_of(edge.decode())]
        return sorted(found, key=lambda client: client.since)

    async def _clients_of(self, edge: str) -> list[ClientInfo]:
        fields = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self._keys.edge(edge)))
        entries = [(field[2:].decode(), decode_client(value)) for field, value in fields.items() if field[:2] == b"c:"]
        return [ClientInfo(client, edge, entry.since, entry.channels) for client, entry in entries]
