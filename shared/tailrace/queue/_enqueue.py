"""The enqueue script's typed caller: which keys and arguments it takes, and what it answers."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from tailrace.queue._scripts import script
from tailrace.redis import Pipe
from tailrace.wire import Keys

CALLS = -1
"""The partition of the application's own functions."""
KEEP_S = 7 * 86_400
"""How long a payload is kept after its job is due."""
_REMEMBER_S = 3600
"""How long a producer's last number is remembered: a call may be repeated for so long."""


class NewJob(NamedTuple):
    """A job to enqueue."""

    id: str
    partition: int
    payload: bytes
    due: str = ""
    """`""` for now, `+<ms>` from Redis's now, or Unix milliseconds."""
    chosen: bool = False
    """The caller chose the id, so an earlier job may have had it."""


class EnqueueCall(NamedTuple):
    """One call of the script, which may be sent again until it is answered."""

    keys: list[str]
    args: list[str | bytes | int]


class Enqueued(NamedTuple):
    """What the script answered."""

    taken: set[int]
    """Positions of jobs that weren't enqueued because their id was taken."""
    full: str = ""
    """A queue that has too many jobs; nothing was enqueued."""
    broken: str = ""
    """A queue's key that is no sorted set; nothing was enqueued."""


class Enqueuer:
    """Enqueues for one producer. Calls are numbered, and Redis runs each number once."""

    def __init__(self, redis: Redis, keys: Keys, max_queue: int) -> None:
        """`max_queue` is the most jobs in one queue; 0 for any number."""
        self._keys, self._max_queue = keys, max_queue
        self._script, self._pipe = redis.register_script(script("enqueue")), Pipe(redis)
        self._producer, self._number = keys.producer(secrets.token_hex(8)), 0

    def call(self, jobs: Sequence[NewJob]) -> EnqueueCall:
        """Make a new call, with the next number."""
        self._number += 1
        partitions = {job.partition: 0 for job in jobs}
        keys = [self._producer]
        for which, partition in enumerate(partitions, 1):
            partitions[partition] = which
            keys += self._queue_keys(partition)
        if any(job.chosen for job in jobs):
            keys.append(self._keys.receipt(""))
        args: list[str | bytes | int] = [self._number, _REMEMBER_S * 1000, KEEP_S * 1000, self._max_queue]
        for job in jobs:
            args += (partitions[job.partition], self._keys.stored_id(job.id), job.payload, job.due)
        return EnqueueCall(keys, args)

    async def send(self, call: EnqueueCall) -> Enqueued:
        """Send a call. Raises redis.RedisError: it isn't known whether the call was run."""
        verdict, rest = await self._pipe.run(self._script, call.keys, call.args)
        if verdict == b"full":
            return Enqueued(set(), full=rest.decode())
        if verdict == b"broken":
            return Enqueued(set(), broken=rest.decode())
        return Enqueued({int(position) for position in rest.split()})

    def _queue_keys(self, partition: int) -> tuple[str, str, str]:
        if partition == CALLS:
            return self._keys.calls(), "", self._keys.calls_bell()
        return self._keys.queue(partition), self._keys.line(partition), self._keys.bell(partition)
