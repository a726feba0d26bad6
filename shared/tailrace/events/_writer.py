"""Writing to a shard's log: appends, and the commits of the ordered line."""

from collections.abc import Sequence
from secrets import token_bytes
from string import ascii_letters, digits
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from tailrace.events._retention import HistoryPolicy
from tailrace.events._scripts import script
from tailrace.redis import ClusterRedis, Pipe
from tailrace.wire import LABEL_LENGTH, Keys, TailraceError, parse_id

STATE_S = 86_400
"""How long a channel's last id says for certain what came before (the key lives an hour longer)."""
_AT_ONCE = 4
"""Commits on their way: Redis has the next, also where the worker's core is busy with something else for a while."""
_LETTERS = ascii_letters + digits
_encode = msgspec.msgpack.encode


WAIT_MS = 1000
"""How long replicas are waited for before the same is sent again."""


class RefusedError(TailraceError):
    """A shard serves another epoch: who asked has been deposed or, where `epoch` is lower, the shard lost its state."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the shard serves epoch {epoch}")
        self.epoch = epoch


class EarlyError(TailraceError):
    """A commit came before the one that its number follows; send it again."""


class NewEvent(NamedTuple):
    """An event to append."""

    name: str
    """Names it in the answer; without spaces."""
    channel: str
    block: bytes
    key: str = ""
    """Appended once per channel and key; empty: no such key."""


class Appended(NamedTuple):
    """What became of an event."""

    name: str
    id: int
    duplicate: bool
    """The key was known: this is the first event's id, and nothing was appended."""


class LogLimits(NamedTuple):
    """What a log keeps."""

    age_s: float = 600
    bytes: int = 256 << 20
    dedupe_s: float = 3600
    """How long keys are remembered."""
    history: HistoryPolicy = HistoryPolicy()


def fresh_label() -> str:
    """Make a label for a generation, should one have to begin."""
    return "".join([_LETTERS[byte % len(_LETTERS)] for byte in token_bytes(LABEL_LENGTH)])


class LogWriter:
    """Appends to one shard's log."""

    def __init__(self, redis: Redis, keys: Keys, shard: int, limits: LogLimits | None = None, *, min_replicas: int = 0) -> None:
        """`min_replicas` have to have what was appended before that counts; without them it is trouble of Redis."""
        self.shard, self._min_replicas = shard, min_replicas
        self.limits = limits or LogLimits()
        self._redis, self._keys = redis, keys
        self._emit, self._commit, self._raise, self._forget, self._trim = (
            redis.register_script(script(name)) for name in ("emit", "commit", "raise", "forget", "trim")
        )
        self._pipe = None if min_replicas or isinstance(redis, ClusterRedis) else Pipe(redis)

    @property
    def at_once(self) -> int:
        """How many commits may be on their way: they arrive in the order in which they are sent, so that Redis always has one to run."""
        return _AT_ONCE if self._pipe else 1

    async def append(self, events: Sequence[NewEvent]) -> list[Appended]:
        """Append events outside the line, in one script. Raises redis.RedisError."""
        keys = [self._keys.log(self.shard), self._keys.generations(self.shard)]
        return read_outcome(await self._run(self._emit, keys, self._packed(events)))

    async def commit(self, partition: int, epoch: int, number: int, forget: Sequence[str], events: Sequence[NewEvent]) -> bytes:
        """Append in the line: once per epoch and number, however often it is sent, and in the numbers' order; return the outcome.

        `forget` names outcomes (fields of `raise_epoch`, or `outcome_field`) of which all jobs have ended.
        Raises RefusedError, EarlyError, redis.RedisError.
        """
        keys = [
            self._keys.log(self.shard),
            self._keys.generations(self.shard),
            self._keys.commits(self.shard, partition),
        ]
        run = self._pipe.run if self._pipe else self._run
        verdict, answer = await run(self._commit, keys, [*self._packed(events), epoch, number, *forget])
        if verdict == b"refused":
            raise RefusedError(int(answer))
        if verdict == b"early":
            message = f"commit {number} came after commit {int(answer)}"
            raise EarlyError(message)
        return bytes(answer)

    async def raise_epoch(self, partition: int, epoch: int, holder: str = "") -> dict[str, list[Appended]]:
        """Shut out all former holders, and return what the shard remembers of their commits, by field.

        Raises RefusedError (the shard has seen a later epoch, or this one of another holder), redis.RedisError.
        """
        verdict, *rest = await self._raise(keys=[self._keys.commits(self.shard, partition)], args=[epoch, holder])
        if verdict == b"refused":
            raise RefusedError(int(rest[0]))
        return {field.decode(): read_outcome(outcome) for field, outcome in zip(rest[::2], rest[1::2], strict=True)}

    async def forget(self, partition: int, epoch: int, fields: Sequence[str]) -> None:
        """Forget outcomes when there is no commit to name them in. Works while Redis is out of memory."""
        if fields:
            await self._forget(keys=[self._keys.commits(self.shard, partition)], args=[epoch, *fields])

    async def trim(self) -> None:
        """Trim the log to its limits; whoever holds a line does so now and then. Works while Redis is out of memory.

        Raises redis.RedisError.
        """
        await self._trim(keys=[self._keys.log(self.shard)], args=[round(self.limits.age_s * 1000), self.limits.bytes])

    async def _run(self, script: AsyncScript, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if not self._min_replicas:
            return await script(keys=keys, args=args)

        async def and_wait(redis: Redis) -> Any:
            async with redis.client() as connection:  # WAIT speaks of what its own connection wrote
                answer = await script(keys=keys, args=args, client=connection)
                have = await connection.wait(self._min_replicas, WAIT_MS)
            if have < self._min_replicas:
                raise RedisError(f"{have} of {self._min_replicas} replicas have what was appended")
            return answer

        return await (self._redis.at(keys[0].encode(), and_wait) if isinstance(self._redis, ClusterRedis) else and_wait(self._redis))

    def _packed(self, events: Sequence[NewEvent]) -> list[str | bytes | int]:
        rule = self.limits.history.rule
        common = rule(events[0].channel, len(events[0].block)) if events else ""
        names, blocks, each = list[str](), list[bytes](), list[int]()
        places, others, keys = dict[str, int](), dict[int, str](), dict[int, str]()
        for number, (name, channel, block, key) in enumerate(events, 1):
            size = len(block)
            kept = rule(channel, size)
            names.append(name)
            blocks.append(block)
            each += (places.setdefault(channel, len(places) + 1), size)
            if kept != common:
                others[number] = kept
            if key:
                keys[number] = key
        packed = _encode((common, list(places), each, others, keys))
        dedupe_ms = round(self.limits.dedupe_s * 1000)
        return [self._keys.shard(self.shard), fresh_label(), STATE_S * 1000, dedupe_ms, " ".join(names), b"".join(blocks), packed]


def outcome_field(epoch: int, number: int) -> str:
    """Name the outcome of a commit."""
    return f"o:{epoch}:{number}"


def read_outcome(text: bytes) -> list[Appended]:
    """Read what became of a commit's events. Lines after the names and the ids are a later version's, and ignored."""
    names, _, ids = text.decode().partition("\n")
    ids, _, _ = ids.partition("\n")
    each = zip(names.split(" "), ids.split(" "), strict=True)
    return [Appended(name, parse_id(entry.rstrip("d")), entry.endswith("d")) for name, entry in each if name]
