"""Revocations in Redis: each shard has a set of them, and each is an entry of the shard's log, both written by one script.

Whoever reads a log learns of a revocation at its place among the events; whoever begins to read takes a place in the log first, and
then reads the set. An event appended after the last shard has answered is behind the revocation's entry in every log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NamedTuple, Self, TypeVar
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tailrace.events._registry import Registry
from tailrace.events._scripts import script
from tailrace.events._writer import WAIT_MS, fresh_label
from tailrace.redis import ClusterRedis, Remedy, refusal
from tailrace.wire import Keys, TailraceError, parse_id

REVOCATION_CHANNEL = "$revocations"
"""The channel of their entries. No channel that clients can name begins with `$`."""
REVOCATION_FORMAT = 2
"""The format (`EDGE_FORMAT`) from which on an edge acts on revocations."""
MAX_REVOCATIONS, MAX_REVOCATION_BYTES = 10_000, 4 << 20
"""What a shard's set holds. A revocation that doesn't fit is refused: one that was accepted is never dropped early."""
MAX_GRANT_S, SKEW_S = 86_400.0, 15.0
_AHEAD_S = 2 * SKEW_S + 1
"""How far `before` is ahead of the caller's clock: no issuer's clock is further ahead."""
_PAUSES_S = (0.02, 0.1, 0.3, 1.0)
_PASSING = (Remedy.WAIT, Remedy.FAILOVER)
T = TypeVar("T")
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class RevocationError(TailraceError):
    """A revocation isn't written everywhere, so nothing may rely on it. Sent again under the same id, it is completed.

    `missing` has the shards without it, `id` its id.
    """

    def __init__(self, message: str, revocation: str, missing: Sequence[int]) -> None:
        super().__init__(message)
        self.id, self.missing = revocation, tuple(missing)


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a revocation concerns: a person (`sub`), one session of a person (`sid`), a channel, or a person's use of a channel.

    Raises ValueError on construction: it names neither a person nor a channel, or a session without its person.
    """

    sub: _Name | None = None
    sid: _Name | None = None
    channel: _Name | None = None

    def __post_init__(self) -> None:
        """Check that it names somebody, in the lengths that a reader accepts."""
        if self.sub is None and self.channel is None:
            raise ValueError("a revocation needs a `sub` or a `channel`")
        if self.sid is not None and self.sub is None:
            raise ValueError("a `sid` means something only together with its `sub`")
        for name in ("sub", "sid", "channel"):
            _check_length(name, getattr(self, name))


class StoredRevocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A revocation as set and log have it. Times are in Unix seconds. Fields of later versions are ignored."""

    id: str
    before: float
    """Tokens issued earlier are concerned; with `sid` all of that session."""
    until: float
    """It may be forgotten then."""
    sub: str | None = None
    sid: str | None = None
    channel: str | None = None

    @property
    def target(self) -> Target:
        return Target(self.sub, self.sid, self.channel)


class RevocationSet(NamedTuple):
    """A shard's live revocations, and the position in its log up to which they are all."""

    generation: str
    position: int
    revocations: Sequence[StoredRevocation]


class _TakenError(TailraceError):
    """A shard has another revocation under this id."""


class _Answer(NamedTuple):
    before: str
    until: str
    stored: StoredRevocation


class _Order(NamedTuple):
    """What every shard is told; empty times are fixed by the first shard that answers."""

    id: str
    target: Target
    before: str
    until: str
    stored: StoredRevocation | None = None

    def fixed(self, answer: _Answer) -> Self:
        """Return it with the times that a shard has answered. Raises _TakenError."""
        if answer.stored.target != self.target or self.before not in ("", answer.before):
            raise _TakenError(f"another revocation has the id {self.id!r}: choose a new one")
        return self._replace(before=answer.before, until=answer.until, stored=answer.stored)


_decode = msgspec.json.Decoder(StoredRevocation).decode
_DATA = b"\ndata: "


def decode_revocation(block: bytes) -> StoredRevocation:
    """Read the block of an entry whose channel is REVOCATION_CHANNEL. Raises msgspec.DecodeError."""
    return _decode(block.partition(_DATA)[2])


async def read_revocations(redis: Redis, keys: Keys, shard: int) -> RevocationSet:
    """Return a shard's live revocations; what `position` and the log before it have is among them. Raises redis.RedisError."""
    read = redis.register_script(script("revocations"))
    label, top, *texts = await read(keys=_names(keys, shard), args=[fresh_label()])
    return RevocationSet(label.decode(), parse_id(top), [_decode(text) for text in texts])


class Revoker:
    """Writes revocations to all shards."""

    def __init__(  # noqa: PLR0913 - one name for each setting
        self, redis: Redis, keys: Keys, shards: int, *, min_replicas: int = 0, max_grant_s: float = MAX_GRANT_S, timeout_s: float = 10
    ) -> None:
        """Use a client of the logs' Redis.

        Args:
            redis: the client.
            keys: names the keys.
            shards: how many logs there are.
            min_replicas: so many replicas of a shard have it before the shard counts.
            max_grant_s: the longest life of a token.
            timeout_s: how long each shard is tried; the client bounds the last try.
        """
        self._redis, self._keys, self._shards = redis, keys, shards
        self._min_replicas, self._max_grant_s, self._timeout_s = min_replicas, max_grant_s, timeout_s
        self._registry = Registry(redis, keys)
        self._script = redis.register_script(script("revoke"))

    async def revoke(
        self, target: Target, *, revocation_id: str = "", before: float | None = None, until: float | None = None
    ) -> StoredRevocation:
        """Write a revocation to one shard after another; return it once all have it.

        Args:
            target: whom it concerns.
            revocation_id: names it. A revocation that raised an error is repeated under its id; by default it gets a new one.
            before: concerns tokens issued earlier, in Unix seconds. By default 31 s from now, and later than any before.
            until: when it may be forgotten, in Unix seconds. By default when no token that it concerns can be valid.

        Raises:
            ValueError: `before` is later than the default, `until` isn't later than `before`, or `revocation_id` has a wrong length.
            RevocationError: an edge is too old to act on it, or shards are missing.
        """
        name, now = revocation_id or uuid4().hex, time.time()
        _check_times(before, until, now)
        _check_length("revocation_id", name)
        await self._check_edges(name)
        order = _Order(name, target, "" if before is None else _ms(before), "" if until is None else _ms(until))
        missing, reasons = list[int](), list[str]()
        for shard in range(self._shards):
            try:
                order = order.fixed(await self._write(shard, self._args(order, now)))
            except _TakenError as error:
                raise RevocationError(str(error), name, range(shard, self._shards)) from None
            except (RedisError, OSError) as error:
                missing.append(shard)
                reasons.append(str(error) or type(error).__name__)
                if not order.before:  # nobody knows yet what the others have to be told
                    missing = [*range(self._shards)]
                    break
        if missing or order.stored is None:
            shards = ", ".join(map(str, missing))
            raise RevocationError(f"revocation {name!r} is missing on shard {shards}: {'; '.join(reasons)}", name, missing)
        return order.stored

    def _args(self, order: "_Order", now: float) -> list[str | bytes | int]:
        kept_ms = round((self._max_grant_s + 2 * SKEW_S) * 1000)
        members = msgspec.json.encode(order.target)[1:-1] + b","
        written: list[str | bytes | int] = [order.id, order.before, _ms(now + _AHEAD_S), order.until, kept_ms, members]
        return [fresh_label(), *written, MAX_REVOCATIONS, MAX_REVOCATION_BYTES, REVOCATION_CHANNEL]

    async def _check_edges(self, name: str) -> None:
        """Refuse what a registered edge wouldn't act on. An edge that starts later reads the sets first, if it knows them."""
        try:
            lowest, edges = await self._patiently(self._look)
        except (RedisError, OSError) as error:
            raise RevocationError(f"nothing is revoked: the edges can't be looked up: {error}", name, range(self._shards)) from error
        if edges and lowest < REVOCATION_FORMAT:
            message = f"nothing is revoked: an edge is of a version that ignores revocations (format {lowest}): upgrade all edges first"
            raise RevocationError(message, name, range(self._shards))

    async def _look(self) -> tuple[int, int]:
        return await self._registry.lowest_format(), await self._redis.zcard(self._keys.edges())

    async def _write(self, shard: int, args: Sequence[str | bytes | int]) -> _Answer:
        verdict, *answer = await self._patiently(lambda: self._run(_names(self._keys, shard), args))
        if verdict == b"full":
            raise ResponseError(f"the set is full: {answer[0].decode()}")
        before, until, _, text = answer
        return _Answer(before.decode(), until.decode(), _decode(text))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Redis; where no answer comes, or it refuses for the time being, ask the same again until the time is up."""
        deadline, tries = time.monotonic() + self._timeout_s, 0
        while True:
            try:
                return await ask()
            except (RedisError, OSError) as error:
                refused = refusal(error)
                pause_s = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
                if (refused and refused.remedy not in _PASSING) or time.monotonic() + pause_s >= deadline:
                    raise
            tries += 1
            await asyncio.sleep(pause_s)

    async def _run(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if not self._min_replicas:
            return await self._script(keys=keys, args=args)

        async def and_wait(redis: Redis) -> Any:
            async with redis.client() as connection:  # WAIT speaks of what its own connection wrote
                answer = await self._script(keys=keys, args=args, client=connection)
                have = await connection.wait(self._min_replicas, WAIT_MS)
            if have < self._min_replicas:
                raise RedisError(f"{have} of {self._min_replicas} replicas have the revocation")
            return answer

        return await (self._redis.at(keys[0].encode(), and_wait) if isinstance(self._redis, ClusterRedis) else and_wait(self._redis))


def _names(keys: Keys, shard: int) -> list[str]:
    return [keys.log(shard), keys.generations(shard), keys.revocations(shard), keys.revocation_ends(shard)]


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _check_length(name: str, text: str | None) -> None:
    if text is not None and not 1 <= len(text) <= 1024:
        raise ValueError(f"`{name}` has {len(text)} characters: expected 1 to 1024")


def _check_times(before: float | None, until: float | None, now: float) -> None:
    latest = now + _AHEAD_S
    if before is not None and not 0 <= before <= latest:
        raise ValueError(f"`before` is {before}: expected a time in Unix seconds, {_AHEAD_S:.0f} s from now at most")
    if until is not None and not (latest if before is None else before) < until < 1e11:
        raise ValueError(f"`until` is {until}: expected a time in Unix seconds after `before`")
