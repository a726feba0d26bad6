"""Reading a shard: its tail, its generations, its channels' histories."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Self

from redis.asyncio import Redis

from tailrace.events._scripts import script
from tailrace.events._writer import STATE_S, fresh_label
from tailrace.redis import ClusterRedis
from tailrace.wire import Entry, EntryError, Keys, decode_entry, format_id, parse_id

_ANSWER_BYTES = 256 << 10
"""How large an answer grows, about: Redis serves nobody else meanwhile."""
RawEntry = tuple[bytes, list[bytes]]
"""An entry as Redis answers it: id, and fields with their values."""


class Generations(NamedTuple):
    """A shard's generations, as Redis answers them now."""

    label: str
    """The newest."""
    top: int
    """The log's last id."""
    past: tuple[tuple[str, int], ...] = ()
    """Those before, oldest first, each with the last id that survived it."""

    def survived(self, label: str) -> float:
        """Return up to which id positions of a generation are good.

        Without end for the newest; below 0 for one that isn't listed.
        """
        labels = [name for name, _ in self.past]
        if label == self.label:
            return math.inf
        return min([top for _, top in self.past[labels.index(label) :]]) if label in labels else -1

    def holds(self, label: str, position: int) -> bool:
        """Say whether a stream can go on from a position."""
        return position <= self.survived(label) and position <= self.top


class Wanted(NamedTuple):
    """A question about one channel."""

    channel: str
    after: int
    """What its history holds after this position, ..."""
    most: int
    """... and so many entries of it at most."""


class ChannelHistory(NamedTuple):
    """What Redis answered for a channel."""

    entries: Sequence[Entry]
    more: bool
    """Whether the answer was cut short."""
    last: int
    """The channel's last id; where none is known, the latest that it can have been."""

    def since(self, position: int) -> Self | None:
        """Return what the same question from a later position would have got, or None where this answer was cut short before it."""
        entries = self.entries[bisect_right(self.entries, position, key=attrgetter("id")) :]
        return None if self.more and not entries else self._replace(entries=entries)


class Answer(NamedTuple):
    """What channels' histories hold, named by the generation that answered."""

    generation: str
    top: int
    histories: Sequence[ChannelHistory | None]
    """For each question; None where it has to be asked again."""


class LogReader:
    """Reads one shard."""

    def __init__(self, redis: Redis, keys: Keys, shard: int) -> None:
        self.shard = shard
        self._redis, self._keys = redis, keys
        self._sync, self._read, self._first = (redis.register_script(script(name)) for name in ("sync", "read", "first"))

    async def sync(self) -> Generations:
        """Look at the generations; one begins here if this Redis has none, or isn't the one that wrote last.

        Raises redis.RedisError.
        """
        label, top, past = await self._sync(keys=self._names(), args=[fresh_label()])
        lines = [line.split(" ") for line in past.decode().split("\n") if line]
        return Generations(label.decode(), parse_id(top), tuple([(name, parse_id(survived)) for name, survived, *_ in lines]))

    async def read(self, wanted: Sequence[Wanted], must: int | None = None) -> Answer:
        """Return what histories hold; the first `must` questions are answered whatever they take, all if it is None.

        Raises redis.RedisError.
        """
        bounds = [STATE_S * 1000, len(wanted) if must is None else must, _ANSWER_BYTES]
        asked = [part for channel, after, most in wanted for part in (channel, format_id(after), most)]
        args = [self._keys.shard(self.shard), fresh_label(), *bounds, *asked]
        label, top, *found = await self._read(keys=self._names(), args=args)
        return Answer(label.decode(), parse_id(top), [_history(each) for each in found])

    async def newest(self, most: int, channel: str | None = None, before: int | None = None) -> list[Entry]:
        """Return the log's newest entries (before an id), or those of a channel's history, oldest first.

        Raises redis.RedisError.
        """
        key = self._keys.log(self.shard) if channel is None else self._keys.history(self.shard, channel)
        last = "+" if before is None else f"({format_id(before)}"
        return whole_entries((await self._redis.xrevrange(key, max=last, count=most))[::-1])

    async def first_of_last(self, most: int, channel: str, last: int) -> tuple[int | None, bool]:
        """Find the first of the last `most` entries of a channel's history up to the id `last`.

        Returns its id, None where there are none, and whether there are as many as were asked for. Raises redis.RedisError.
        """
        first, complete = await self._first(keys=[self._keys.history(self.shard, channel)], args=[most, format_id(last)])
        return (parse_id(first) if first else None), bool(complete)

    def _names(self) -> list[str]:
        return [self._keys.log(self.shard), self._keys.generations(self.shard)]


def _history(answer: tuple[Sequence[RawEntry], bytes, bytes] | None) -> ChannelHistory | None:
    if answer is None:
        return None
    entries, more, last = answer
    return ChannelHistory(whole_entries(entries), more == b"1", parse_id(last))


def whole_entries(raw: Sequence[RawEntry | tuple[bytes, Mapping[bytes, bytes]]]) -> list[Entry]:
    """Decode entries, leaving out what isn't one of ours."""
    entries = []
    for entry_id, fields in raw:
        flat = fields if isinstance(fields, list) else [part for pair in fields.items() for part in pair]
        try:
            entries.append(decode_entry(entry_id, flat))
        except EntryError:
            continue
    return entries


async def follow(redis: Redis, keys: Keys, positions: Mapping[int, int], block_ms: int, most: int) -> dict[int, list[RawEntry]]:
    """Wait for entries of some shards after their positions, and return them as Redis answers them.

    The client is one of `connect_reader`. Raises redis.RedisError.
    """
    shards = {keys.log(shard).encode(): shard for shard in positions}
    names = [*shards, *map(format_id, positions.values())]
    command = ("XREAD", "COUNT", most, "BLOCK", block_ms, "STREAMS", *names)
    if isinstance(redis, ClusterRedis):
        reply = await redis.at(next(iter(shards)), lambda node: _ask(node, command))
    else:
        reply = await _ask(redis, command)
    return {shards[name]: entries for name, entries in reply or ()}


async def _ask(redis: Redis, command: Sequence[Any]) -> Any:
    """Send a command and return its answer as it comes, without what a client does around it, which takes longer than all else.

    Whether its connection is still good is only seen as it is used.
    """
    pool = redis.connection_pool
    connection = pool.get_available_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.send_command(*command)
        return await connection.read_response()
    finally:
        await pool.release(connection)
