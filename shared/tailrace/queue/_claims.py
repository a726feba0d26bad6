"""The queue of calls: who runs one holds a claim on it, short and renewed, so a call whose worker dies soon runs again."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from redis.asyncio import Redis

from tailrace.queue._partition import MAX_DEATHS, QueueLimits, common, printable
from tailrace.queue._scripts import script
from tailrace.wire import JOB_PREFIX, Keys

# As in arq.constants, which a producer's installation lacks.
abort_jobs_ss, in_progress_key_prefix = "arq:abort", "arq:in-progress:"
result_key_prefix, retry_key_prefix = "arq:result:", "arq:retry:"
ALIVE_MS = 15_000
"""How long an announcement of a function holds."""
_AGAIN_MS = 1000, 15_000  # when a deferred call is due again, should no worker claim it
_MARK_MS = 600_000
_HEAD, _FIELDS = 3, 6
LONE_DEATHS = MAX_DEATHS - 1
"""After so many deaths a call runs alone, so that one more is surely its own."""


class Claimed(NamedTuple):
    """A call that this worker is to run."""

    id: bytes
    token: str
    """Names the claim: whoever has another one can change nothing."""
    due_ms: float
    deaths: int
    """How many workers died running it."""
    tries: int
    """How many times it has failed."""
    aborted: bool
    payload: bytes | None
    """None where it is gone, or of another type."""

    @property
    def alone(self) -> bool:
        """Say whether no other call may run beside it in its worker."""
        return self.deaths == LONE_DEATHS


class Room(NamedTuple):
    """What a worker can take."""

    calls: int
    idle: bool = True
    """No calls run here."""
    alone_first: bool = True
    """One that runs alone comes before others."""
    abortable: bool = False


class Found(NamedTuple):
    """What came of a claim."""

    claims: list[Claimed]
    idle_s: float | None
    """Seconds until the next call is due, if there is one."""
    make_room: bool
    """One has to run alone, and waits until nothing runs here."""


class Ended(NamedTuple):
    """How a call ended."""

    result: bytes = b""
    result_ms: int | None = 0
    """How long the result is kept; None is for ever."""
    receipt: bytes = b""
    listener: str = ""
    reason: str = ""
    """Makes it a dead letter."""
    path: str = "$"
    traceback: str = ""


class Again(NamedTuple):
    """The call has failed, and is to be tried again."""

    wait_ms: int
    tries: int
    """How many times it has failed."""


class Back(NamedTuple):
    """The call was stopped, and is to run again as if it had never been started."""


Settlement = Ended | Again | Back


class CallQueue:
    """The calls of one system. Each method is one script, and may be sent again until it is answered."""

    def __init__(self, redis: Redis, keys: Keys, limits: QueueLimits, worker: str) -> None:
        self.key, self._bell, self._functions, self._missed = keys.calls(), keys.calls_bell(), keys.functions(), keys.missed()
        self._redis, self._keys, self._limits, self._worker = redis, keys, limits, worker
        self._claim, self._keep, self._settle, self._defer, self._announce, self._tick = (
            redis.register_script(script(name)) for name in ("claim", "keep", "settle", "defer", "announce", "tick")
        )

    async def claim(self, number: int, room: Room, functions: Iterable[str]) -> Found:
        """Claim calls that are due. Raises redis.RedisError.

        `number` names the claim among this worker's: sent again, it gives the same calls.
        """
        token = f"{self._worker}.{number}"
        keys = [self.key, self._keys.calls_time(), self._keys.claimed(self._worker), self._bell, self._functions]
        for each in functions:
            keys += (self._keys.shelf(each), self._keys.alone(each), self._keys.room(each))
        prefixes = (JOB_PREFIX, in_progress_key_prefix, retry_key_prefix, self._keys.alone(""))
        args: list[str | int] = [token, room.calls, self._limits.bytes, self._limits.lease_ms, *prefixes]
        args += (abort_jobs_ss if room.abortable else "", LONE_DEATHS, ALIVE_MS, int(not room.idle), int(room.alone_first))
        reply = await self._claim(keys=keys, args=args)
        now, due, make_room = reply[:_HEAD]
        claims = [_claimed(token, reply[start : start + _FIELDS]) for start in range(_HEAD, len(reply), _FIELDS)]
        return Found(claims, max(0.0, (float(due) - float(now)) / 1000) if due else None, make_room == b"1")

    async def keep(self, claims: Sequence[Claimed]) -> list[bool]:
        """Renew claims, and say of each whether it still holds. Raises redis.RedisError."""
        args: list[str | bytes | int] = [self._limits.lease_ms, in_progress_key_prefix]
        for each in claims:
            args += (each.id, each.token)
        lost = set(await self._keep(keys=[self.key, self._keys.calls_time()], args=args))
        return [place not in lost for place in range(1, len(claims) + 1)]

    async def settle(self, number: int, settled: Sequence[tuple[Claimed, Settlement]]) -> list[bool]:
        """End calls or give them back, and say of each whether its claim held; nothing became of the others. Raises redis.RedisError.

        `number` names the settlement among this worker's: sent again, it does nothing more, and is answered as before.
        """
        prefixes = (in_progress_key_prefix, retry_key_prefix, result_key_prefix)
        args: list[str | bytes | int] = [*common(self._keys, self._limits), *prefixes, number]
        for claimed, settlement in settled:
            args += (claimed.id, claimed.token, *_flat(settlement))
        keys = [self.key, self._keys.dead(), self._bell, abort_jobs_ss, self._keys.settled(self._worker)]
        lost = {int(place) for place in (await self._settle(keys=keys, args=args)).split()}
        return [place not in lost for place in range(1, len(settled) + 1)]

    async def defer(self, claimed: Claimed, function: str, patience_ms: int) -> bool:
        """Leave a call to workers that have its function; return False if none has had it for too long. Raises redis.RedisError."""
        keys = [self.key, self._functions, self._missed, self._keys.shelf(function), self._bell]
        again_ms = max(_AGAIN_MS[0], min(patience_ms, _AGAIN_MS[1]))
        prefixes = (in_progress_key_prefix, retry_key_prefix)
        args: list[str | bytes | int] = [claimed.id, claimed.token, function, *prefixes, ALIVE_MS, patience_ms, again_ms]
        return bool(await self._defer(keys=keys, args=args))

    async def announce(self, functions: Iterable[str]) -> None:
        """Say which functions this worker has. Raises redis.RedisError."""
        await self._announce(keys=[self._functions, self._missed, abort_jobs_ss], args=list(functions))

    async def tick(self, job: str, payload: bytes, due_ms: int, *, once: bool) -> bool:
        """Enqueue a run of a function that runs by itself, unless another worker has. Raises redis.RedisError.

        Without `once`, a run that has ended, and left no result, may come again.
        """
        stored = self._keys.stored_id(job)
        keys = [self.key, self._keys.tick(job) if once else "", JOB_PREFIX + stored, result_key_prefix + stored]
        return bool(await self._tick(keys=keys, args=[stored, payload, due_ms, _MARK_MS, 86_400_000]))

    async def to_abort(self, claims: Sequence[Claimed]) -> set[bytes]:
        """Return the ids of those calls that arq's `Job.abort` named. Raises redis.RedisError."""
        scores = await self._redis.zmscore(abort_jobs_ss, cast("list[str]", [each.id for each in claims]))
        return {each.id for each, score in zip(claims, scores, strict=True) if score is not None}


def _claimed(token: str, fields: Sequence[bytes]) -> Claimed:
    job, due, deaths, tries, aborted, payload = fields
    return Claimed(job, token, float(due), int(deaths), int(tries), aborted == b"1", payload)


def _flat(settlement: Settlement) -> list[str | bytes | int]:
    match settlement:
        case Again(wait_ms, tries):
            return ["again", wait_ms, tries, *[""] * 7]
        case Back():
            return ["back", *[""] * 9]
    result, result_ms, receipt, listener, reason, path, trace = settlement
    kept = "" if result_ms is None else result_ms
    letter = (printable(reason), printable(path), trace.encode(errors="backslashreplace"))
    return ["end", "", "", result, kept, receipt, listener, *letter]
