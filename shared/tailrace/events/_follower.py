"""Following logs: a connection of its own asks for what is new, over and over."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from math import inf
from typing import Any, NoReturn, TypeAlias

from hiredis import pack_command
from redis.asyncio import Redis

from tailrace.events._reader import RawEntry
from tailrace.redis import ClusterRedis, Dialogue
from tailrace.wire import Keys, format_id

Positions: TypeAlias = Mapping[int, int]
"""The last id that was read, by shard."""
Handle: TypeAlias = Callable[[Mapping[int, Sequence[RawEntry]]], Coroutine[Any, Any, Positions]]
"""Takes what is new, by shard, and returns from where to go on; there is nothing where Redis has waited for nothing."""


class Follower:
    """Follows the logs of some shards, which one connection can read together."""

    def __init__(self, redis: Redis, keys: Keys, shards: Sequence[int], *, block_s: float, most: int) -> None:
        """`redis` is of `connect_reader`. It waits `block_s` where nothing is new, and answers `most` entries of each shard at once."""
        self._redis, self._shards = redis, {keys.log(shard).encode(): shard for shard in shards}
        self._command: tuple[Any, ...] = ("XREAD", "COUNT", str(most), "BLOCK", str(round(block_s * 1000)), "STREAMS", *self._shards)
        self._positions: Positions = {}

    async def run(self, positions: Positions, handle: Handle) -> NoReturn:
        """Follow until something fails; `handle` is begun as an answer comes, as `Dialogue.run` says.

        Raises redis.RedisError, and what `handle` raises.
        """
        self._positions = positions
        if isinstance(self._redis, ClusterRedis):
            await self._redis.at(next(iter(self._shards)), lambda node: self._follow(node, handle))
        await self._follow(self._redis, handle)

    async def _follow(self, redis: Redis, handle: Handle) -> NoReturn:
        async def take(answer: Sequence[tuple[bytes, list[RawEntry]]] | None) -> bytes:
            self._positions = await handle({self._shards[name]: entries for name, entries in answer or ()})
            return self._question()

        pool = redis.connection_pool
        connection = pool.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            dialogue = Dialogue(take, connection.socket_timeout or inf)
            await connection.hand_over(dialogue)
            await dialogue.run(self._question())
        finally:
            await connection.disconnect(nowait=True)
            await pool.release(connection)

    def _question(self) -> bytes:
        question: bytes = pack_command((*self._command, *map(format_id, self._positions.values())))
        return question
