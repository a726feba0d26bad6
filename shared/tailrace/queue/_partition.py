"""A queue's scripts: its lease, what it gives out, and how that ends."""

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from tailrace.queue._scripts import script
from tailrace.wire import JOB_PREFIX, Keys, TailraceError

MAX_DEATHS = 3
NEVER_MS = 10 * 365 * 86_400_000
"""A job that is due later than this from now has a score in another unit than ms."""
_log = logging.getLogger(__name__)
_HEAD = 3  # fields of an answer before its batch


class DeposedError(TailraceError):
    """The queue serves another epoch: somebody else holds it now."""


class Grant(NamedTuple):
    """A lease that was taken."""

    epoch: int
    left: frozenset[str]
    """Tickets that former holders had in hand."""


class TakenJob(NamedTuple):
    """A job that the queue gave out."""

    position: int
    """In its batch, from 1."""
    ticket: str
    """Names the job until it ends, for ids may come again."""
    id: bytes
    due_ms: float
    payload: bytes | None
    """None where it is gone, or of another type."""

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload or b"")


class Taken(NamedTuple):
    """A batch that the queue gave out."""

    field: str
    """Names the batch."""
    deaths: int
    """How many holders died having it in hand."""
    now_ms: float
    """Redis' time."""
    jobs: tuple[TakenJob, ...]


class Answer(NamedTuple):
    """What a take was answered."""

    taken: Taken | None
    idle_s: float | None
    """In how many seconds the next job is due; None if there is none."""


class Ending(NamedTuple):
    """How one job of a batch ended, where there is more to it than being done."""

    position: int
    receipt: bytes = b""
    listener: str = ""
    reason: str = ""
    """Makes it a dead letter."""
    path: str = ""
    moved: bool = False
    """It is a call, and goes to the queue of calls."""


class EndedBatch(NamedTuple):
    """What is to end of a batch."""

    field: str
    whole: bool
    """All that is left of it; if not, what has an ending."""
    endings: Sequence[Ending]


class QueueLimits(NamedTuple):
    """What is taken at once, and what is kept of jobs that ended."""

    jobs: int = 128
    bytes: int = 1 << 20
    lease_ms: int = 2000
    receipt_ms: int = 3_600_000
    dead_letters: int = 10_000
    dead_bytes: int = 64 << 20


class Queue:
    """One partition's queue. Each method is one script, and may be sent again until it is answered."""

    def __init__(self, redis: Redis, keys: Keys, partition: int = 0, limits: QueueLimits | None = None) -> None:
        self.partition, self.key = partition, keys.queue(partition)
        self._redis, self._keys, self._limits = redis, keys, limits or QueueLimits()
        self._line, self._lease, self._hand = keys.line(partition), keys.lease(partition), keys.hand(partition)
        self._takes = [self._line, keys.queue(partition), self._hand]
        self._acquire, self._renew, self._release, self._take, self._finish = (
            redis.register_script(script(name)) for name in ("acquire", "renew", "release", "take", "finish")
        )

    async def acquire(self, owner: str, at_least: int = 0) -> Grant | None:
        """Take the lease, or return None while somebody else has it. Raises redis.RedisError."""
        args: list[str | int] = [owner, self._limits.lease_ms, at_least]
        reply = await self._acquire(keys=[self._line, self._lease, self._hand], args=args)
        return Grant(int(reply[0]), frozenset([ticket.decode() for ticket in reply[1:]])) if reply else None

    async def renew(self, epoch: int, owner: str) -> None:
        """Keep the lease. Raises DeposedError, redis.RedisError."""
        if not await self._renew(keys=[self._line, self._lease], args=[epoch, owner, self._limits.lease_ms]):
            raise DeposedError

    async def release(self, epoch: int) -> None:
        """Give the lease up, if it is still held. Raises redis.RedisError."""
        await self._release(keys=[self._line, self._lease, self._keys.free(self.partition)], args=[epoch])

    async def take(self, epoch: int, mine: Iterable[str]) -> Answer:
        """Take a batch that isn't among those named, if one is due.

        Raises DeposedError, redis.RedisError.
        """
        return self.taken(await self._take(keys=self._takes, args=self._take_args(epoch, mine)))

    def taking(self, epoch: int, mine: Iterable[str]) -> list[str | int]:
        """Give the command that takes, where it is sent in another way; `taken` reads what Redis answers."""
        return ["EVALSHA", self._take.sha, len(self._takes), *self._takes, *self._take_args(epoch, mine)]

    def taken(self, reply: Sequence[bytes]) -> Answer:
        """Read what a take was answered. Raises DeposedError."""
        if reply[0] != b"done":
            raise DeposedError
        now_ms, idle_s = float(reply[1]), None
        if reply[2]:
            idle_s = max(0.0, (float(reply[2]) - now_ms) / 1000)
        return Answer(_taken(now_ms, reply[3:]) if len(reply) > _HEAD else None, idle_s)

    def _take_args(self, epoch: int, mine: Iterable[str]) -> list[str | int]:
        return [epoch, self._limits.jobs, self._limits.bytes, JOB_PREFIX, NEVER_MS, *mine]

    async def finish(self, epoch: int, ended: Iterable[EndedBatch]) -> None:
        """End jobs. Works while Redis is out of memory. Raises DeposedError, redis.RedisError."""
        names = (self._line, self._keys.queue(self.partition), self._hand, self._keys.dead(), self._keys.calls(), self._keys.calls_bell())
        args: list[str | bytes | int] = [epoch, *common(self._keys, self._limits)]
        for field, whole, endings in ended:
            args += [field, int(whole), len(endings)]
            for position, receipt, listener, reason, path, moved in endings:
                args += [position, receipt, listener, printable(reason), printable(path), int(moved)]
        put_off = await self._finish(keys=names, args=args)
        if put_off < 0:
            raise DeposedError
        if put_off:
            _log.error("%d calls wait: %s is no sorted set: rename or delete it", put_off, self._keys.calls())

    async def depth(self) -> int:
        """Count the jobs that wait, and the batches in hand. Raises redis.RedisError."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcard(self._keys.queue(self.partition))
        pipe.hlen(self._hand)
        return sum(await pipe.execute())


def common(keys: Keys, limits: QueueLimits) -> list[str | int]:
    """Give what scripts that end jobs ask for."""
    return [
        JOB_PREFIX,
        keys.receipt(""),
        keys.receipts(""),
        limits.receipt_ms,
        limits.dead_letters,
        limits.dead_bytes,
    ]


def printable(text: str) -> bytes:
    """Encode what may quote a job: with no lone surrogate, and not without end."""
    return text.encode(errors="backslashreplace")[:2000]


def _taken(now_ms: float, reply: Sequence[bytes]) -> Taken:
    field = reply[0].decode()
    series, _, first = field.partition(".")
    start = int(first) - 1
    given: Iterable[tuple[bytes | None, bytes, bytes | None]] = zip(reply[2::3], reply[3::3], reply[4::3], strict=True)
    jobs = [
        TakenJob(position, f"{series}.{start + position}", job_id, float(due), payload)
        for position, (job_id, due, payload) in enumerate(given, 1)
        if job_id is not None
    ]
    return Taken(field, int(reply[1]), now_ms, tuple(jobs))
