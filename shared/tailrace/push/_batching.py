"""Enqueueing: what is asked for at the same time goes out together, one script at a time and in order of asking."""

import asyncio
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError, NoPermissionError, ResponseError, TimeoutError as RedisTimeoutError

from tailrace.push._errors import QueueBrokenError, QueueFullError, enqueue_error
from tailrace.push._planner import CALLS, NewJob
from tailrace.queue import script
from tailrace.redis import Pipe, Refusal, Remedy, lacks_files, refusal
from tailrace.wire import Keys

_log = logging.getLogger(__name__)
KEEP_S = 7 * 86_400
"""How long a payload outlives the time when its job is due."""
FULL = 0.75
"""The share of Redis' memory from which on nothing is enqueued."""
_REMEMBER_S = 3600
_MOST_JOBS, _MOST_BYTES = 128, 256 << 10  # a script of this size holds Redis for about a millisecond
_LOOK_EVERY_S = 1.0
_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)
_TROUBLES = (RedisConnectionError, RedisTimeoutError, ResponseError, TimeoutError)
_PASSING = (Remedy.WAIT, Remedy.FAILOVER)


class _Asked(NamedTuple):
    jobs: Sequence[NewJob]
    deadline: float
    done: "asyncio.Future[list[bool]]"


class Lane:
    """Enqueues for one producer."""

    def __init__(self, redis: Redis, keys: Keys, *, max_queue: int, timeout_s: float) -> None:
        self._redis, self._keys = redis, keys
        self._max_queue, self._timeout_s = max_queue, timeout_s
        self._script, self._pipe = redis.register_script(script("enqueue")), Pipe(redis)
        self._producer, self._number = secrets.token_hex(8), 0
        self._asked: deque[_Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._looked = -_LOOK_EVERY_S

    async def put(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Enqueue jobs, all or none, and say of each whether it is new (its id was free).

        Raises EnqueueError.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(jobs, loop.time() + self._timeout_s, loop.create_future())
        self._asked.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asked.done

    async def close(self) -> None:
        """Wait until all that was asked for has its answer."""
        if self._task:
            await self._task

    async def _run(self) -> None:
        while self._asked:
            group = self._group()
            try:
                taken = await self._send(group)
            except BaseException as error:
                _fail(group if isinstance(error, Exception) else [*group, *self._asked], error)
                if not isinstance(error, Exception):
                    raise
            else:
                _settle(group, taken)

    def _group(self) -> list[_Asked]:
        """Take what fits one script, the oldest at least."""
        group: list[_Asked] = []
        jobs = size = 0
        while self._asked:
            first = self._asked[0]
            jobs += len(first.jobs)
            size += sum([len(job.payload) for job in first.jobs])
            if group and (jobs > _MOST_JOBS or size > _MOST_BYTES):
                break
            self._asked.popleft()
            if not first.done.done():  # else who asked has been cancelled
                group.append(first)
        return group

    async def _send(self, group: Sequence[_Asked]) -> set[int]:
        """Send a group until it is answered, under one number; return the places of jobs whose id was taken."""
        if not group:
            return set()
        self._number += 1
        keys, args = self._call([job for asked in group for job in asked.jobs])
        deadline, clock = group[0].deadline, asyncio.get_running_loop().time
        uncertain, tries = False, 0
        while True:
            sent = False
            try:
                async with asyncio.timeout_at(deadline):
                    if not uncertain:  # else only the script can tell what became of it
                        await self._look()
                    sent = clock() < deadline
                    return _read(await self._pipe.run(self._script, keys, args))
            except _TROUBLES as error:
                refused = refusal(error)
                uncertain = uncertain or (sent and not _did_nothing(error, refused))
                pause_s = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
                if (refused and refused.remedy not in _PASSING) or clock() + pause_s >= deadline:
                    raise enqueue_error(refused, str(error), uncertain=uncertain, connected=not lacks_files(error)) from error
            tries += 1
            await asyncio.sleep(pause_s)

    def _call(self, jobs: Sequence[NewJob]) -> tuple[list[str], list[str | bytes | int]]:
        partitions = {job.partition: 0 for job in jobs}
        keys = [self._keys.producer(self._producer)]
        for which, partition in enumerate(partitions, 1):
            partitions[partition] = which
            keys += _queue_keys(self._keys, partition)
        if any(job.chosen for job in jobs):
            keys.append(self._keys.receipt(""))
        args: list[str | bytes | int] = [self._number, _REMEMBER_S * 1000, KEEP_S * 1000, self._max_queue]
        for job in jobs:
            args += (partitions[job.partition], self._keys.stored_id(job.id), job.payload, job.due)
        return keys, args

    async def _look(self) -> None:
        """See once a second that Redis has memory left, if this user may. Raises QueueFullError."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        try:
            memory = await self._redis.info("memory")
        except NoPermissionError:
            _log.warning("the Redis user may not run INFO: pushes aren't refused when Redis has used %.0f %% of its memory", FULL * 100)
            self._looked = math.inf
            return
        used, most = memory["used_memory"], memory.get("maxmemory", 0)
        if most and used >= FULL * most:
            raise QueueFullError(f"Redis uses {used / most:.0%} of its memory")
        self._looked = now


def _queue_keys(keys: Keys, partition: int) -> tuple[str, str, str]:
    if partition == CALLS:
        return keys.calls(), "", keys.calls_bell()
    return keys.queue(partition), keys.line(partition), keys.bell(partition)


def _read(answer: tuple[bytes, bytes]) -> set[int]:
    verdict, rest = answer
    if verdict == b"full":
        raise QueueFullError(f"too many jobs wait in {rest.decode()}")
    if verdict == b"broken":
        raise QueueBrokenError(f"{rest.decode()} is no sorted set in Redis: rename or delete it")
    return {int(place) for place in rest.split()}


def _settle(group: Sequence[_Asked], taken: set[int]) -> None:
    place = 0
    for asked in group:
        if not asked.done.done():
            asked.done.set_result([place + index not in taken for index in range(len(asked.jobs))])
        place += len(asked.jobs)


def _fail(group: Sequence[_Asked], error: BaseException) -> None:
    for asked in group:
        if asked.done.done():
            continue
        if isinstance(error, Exception):
            asked.done.set_exception(error)
        else:
            asked.done.cancel()


def _did_nothing(error: BaseException, refused: Refusal | None) -> bool:
    """Say whether the script never began; that the connection was never made, redis-py tells only by what it met."""
    if refused:
        return not refused.in_script
    if lacks_files(error):
        return True
    return isinstance(error.__context__, ConnectionRefusedError | FileNotFoundError)
