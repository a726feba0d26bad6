"""The registry in Redis: each edge writes its part under a lease, and anyone may count."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import NamedTuple, cast

from redis.asyncio import Redis

from tailrace.events._scripts import script
from tailrace.wire import EDGE_FORMAT, ClientEntry, ClientInfo, Keys, decode_client, encode_client, registered_name

LEASE_S, AWAY_S = 15.0, 30.0
AWAY = -1
"""What `recipients` says of a client that left a moment ago."""
_ANY = "*"


class Standing(NamedTuple):
    """What an edge learns when it registers."""

    share: int | None = None
    """Bytes that its part may take in all; None if Redis has no limit."""
    room: int | None = None
    """Bytes by which its part may grow until it looks again; None likewise."""
    recheck: Sequence[str] = ()
    """Clients to register again: an edge that had them too has missed a renewal."""


class Registry:
    """Reads the registry, and writes an edge's part of it."""

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float = LEASE_S, away_s: float = AWAY_S) -> None:
        self._redis, self._keys, self._lease_s, self._away_s = redis, keys, lease_s, away_s
        self._register, self._recipients = (redis.register_script(script(name)) for name in ("register", "recipients"))
        self._full = False

    async def register(
        self,
        edge: str,
        clients: Mapping[str, ClientEntry | None],
        counts: Mapping[str, int],
        *,
        whole: bool = False,
        look: bool = False,
    ) -> Standing | None:
        """Write what changed, or with `whole` all that the edge has, and renew its lease.

        `counts` has the clients per channel, by its registered name; a count of 0 is deleted. A client that is None has left, and stays
        *away* for a while. `look` asks how much room there is and whether other edges live; as long as there is no room, one note stands
        for all that leave.
        Returns None if the edge's part is gone: nothing was written, and everything has to be registered again.
        Raises redis.RedisError.
        """
        keys = [self._keys.edge(edge), self._keys.edges(), self._keys.shared(edge), self._keys.away(_ANY)]
        args: list[str | bytes | int] = [edge, round(self._lease_s * 1000), int(whole), round(self._away_s * 1000), self._keys.away("")]
        args += (int(look), int(self._full), EDGE_FORMAT, len(clients))
        for client, entry in clients.items():
            args += (client, encode_client(entry) if entry else b"")
        for channel, count in counts.items():
            args += (channel, count)
        found = await self._register(keys=keys, args=args)
        if not found:
            return None
        share, room, recheck = found
        limited = share >= 0
        self._full = room == 0 if look else self._full
        return Standing(share if limited else None, room if limited else None, [client.decode() for client in recheck])

    async def leave(self, edge: str) -> None:
        """Remove an edge that ends, and all its clients."""
        await self._redis.delete(self._keys.edge(edge), self._keys.shared(edge))
        await self._redis.zrem(self._keys.edges(), edge)

    async def recipients(self, channels: Sequence[str]) -> list[int]:
        """Count the clients connected in each channel; AWAY for the own channel of one that left a moment ago.

        Raises redis.RedisError.
        """
        if not channels:
            return []
        names = [registered_name(channel) for channel in channels]
        # An edge that doesn't know registered names counts a long channel under its own name.
        unnamed = [place for place, name in enumerate(names) if name != channels[place]]
        args = [self._keys.edge(""), self._keys.shared(""), self._keys.away(""), *names, *[channels[place] for place in unnamed]]
        found: list[int] = await self._recipients(keys=[self._keys.edges(), self._keys.away(_ANY)], args=args)
        counts = found[: len(names)]
        for place, more in zip(unnamed, found[len(names) :], strict=True):
            counts[place] += max(more, 0)
        return counts

    async def lowest_format(self) -> int:
        """Return the lowest format (EDGE_FORMAT of its version) of all registered edges; 0 where an edge names none, or none is registered.

        Raises redis.RedisError.
        """
        edges: list[bytes] = await self._redis.zrange(self._keys.edges(), 0, -1)
        formats = [await cast("Awaitable[bytes | None]", self._redis.hget(self._keys.edge(edge.decode()), "format")) for edge in edges]
        return min([int(each or 0) for each in formats], default=0)

    async def clients(self) -> list[ClientInfo]:
        """List all connected clients, in the order in which they connected. Raises redis.RedisError."""
        edges: list[bytes] = await self._redis.zrange(self._keys.edges(), 0, -1)
        found = [client for edge in edges for client in await self._clients_of(edge.decode())]
        return sorted(found, key=lambda client: client.since)

    async def _clients_of(self, edge: str) -> list[ClientInfo]:
        fields = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(self._keys.edge(edge)))
        entries = [(field[2:].decode(), decode_client(value)) for field, value in fields.items() if field[:2] == b"c:"]
        return [ClientInfo(client, edge, entry.since, entry.channels, entry.listed) for client, entry in entries]
