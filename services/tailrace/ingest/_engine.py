"""From a request's body to its answer, independent of the web framework."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
from redis.exceptions import RedisError

from tailrace.ingest import _answers as answers
from tailrace.ingest._answers import Answer
from tailrace.ingest._gate import BusyError, Gate, Hold
from tailrace.ingest._prefer import Preference
from tailrace.ingest._requests import read_body
from tailrace.push import Batch, EnqueueError, Pusher, PushError, RedisAwayError
from tailrace.redis import lacks_files, refusal

_log = logging.getLogger(__name__)
_AWAY, _REFUSED = "Redis is unreachable", "requests are refused"


class Taken(NamedTuple):
    """The jobs of a request; it holds no reference to the body, which can be large."""

    batch: Batch
    many: bool
    scheduled: bool


class Engine:
    """Enqueues pushes and answers for them."""

    def __init__(self, pusher: Pusher, *, max_waiting: int, max_bytes: int) -> None:
        self._pusher, self._max_waiting = pusher, max_waiting
        self._gate = Gate(max_bytes)
        self._waiting = 0
        self._stopping, self._trouble = False, ""
        self._unready = False
        """Whether the last look at Redis failed."""

    async def push(self, body: AsyncIterator[bytes], preference: Preference) -> Answer:
        """Enqueue the pushes of a body, and answer with their receipts if they come within the preferred time."""
        try:
            taken = await self._take(body)
        except BusyError as error:
            return answers.try_again(429, str(error))
        except PushError as error:
            return answers.bad_push(error)
        except EnqueueError as error:
            self._note(_AWAY if isinstance(error, RedisAwayError) else _REFUSED, error)
            return answers.try_again(503, error.public)
        self._note("")
        return await self._outcome(taken, preference)

    async def status(self, job: str) -> Answer:
        """Answer with a job's state."""
        try:
            end = await self._pusher.status(job)
        except (RedisError, msgspec.DecodeError) as error:
            return self._trouble_with(job, error)
        return answers.job_answer(end) if end else answers.unknown_job(job)

    async def cancel(self, job: str) -> Answer:
        """Cancel a job that no worker has taken."""
        try:
            return answers.cancelled(job, await self._pusher.cancel(job))
        except (RedisError, msgspec.DecodeError) as error:
            return self._trouble_with(job, error)

    async def ready(self) -> Answer:
        """Answer 200 if Redis is reachable and accepts writes, else 503."""
        if self._stopping:
            return answers.problem(503, "shutting down")
        try:
            async with asyncio.timeout(2):
                await self._pusher.ping()
        except (RedisError, TimeoutError) as error:
            self._unready = True
            return self._redis_trouble(error)
        if self._unready or self._trouble == _AWAY:  # other reasons to refuse pushes, such as a full queue, aren't checked here
            self._unready = False
            self._note("")
        return Answer(200, {"state": "ready"})

    def stop(self) -> None:
        """Answer 202 to all requests that wait for receipts."""
        self._stopping = True
        self._pusher.release()

    async def _take(self, body: AsyncIterator[bytes]) -> Taken:
        with Hold(self._gate) as hold:
            chunks = []
            async for chunk in body:
                hold.add(len(chunk))
                chunks.append(chunk)
            asked = read_body(b"".join(chunks))
            batch = await self._pusher.enqueue(asked.pushes, many=asked.many)
        now_ms = time.time_ns() // 1_000_000
        return Taken(batch, asked.many, any((push.due_ms(now_ms) or 0) > now_ms for push in asked.pushes))

    async def _outcome(self, taken: Taken, preference: Preference) -> Answer:
        if not taken.batch.jobs:
            return answers.ended_many([])
        if taken.scheduled or not preference.wait_s or self._waiting >= self._max_waiting:
            return answers.accepted(taken.batch, scheduled=taken.scheduled)
        self._waiting += 1
        try:
            return await _ended(taken, preference.wait_s) or answers.accepted(taken.batch, scheduled=False)
        finally:
            self._waiting -= 1

    def _trouble_with(self, job: str, error: Exception) -> Answer:
        if isinstance(error, msgspec.DecodeError):  # another program has overwritten it
            _log.warning("receipt of job %r is unreadable: %s", job[:64], error, extra={"job": job[:64]})
            return answers.unknown_job(job)
        return self._redis_trouble(error)

    def _redis_trouble(self, error: Exception) -> Answer:
        self._note(_REFUSED if refusal(error) else _AWAY, error)
        return answers.redis_trouble(error)

    def _note(self, trouble: str, error: Exception | None = None) -> None:
        """Log a problem when it begins and when it ends, not with every request."""
        if trouble and trouble != self._trouble:
            what = "out of file descriptors" if lacks_files(error) else trouble
            _log.warning("%s: %s", what, error, extra={"reason": str(error)})
        elif self._trouble and not trouble:
            _log.info("Redis is reachable again" if self._trouble == _AWAY else "requests are accepted again")
        self._trouble = trouble


async def _ended(taken: Taken, wait_s: float) -> Answer | None:
    if taken.many:
        receipts = await taken.batch.receipts(wait_s)
        return answers.ended_many(receipts) if receipts else None
    end = await taken.batch.jobs[0].receipt(wait_s)
    return answers.ended(end) if end else None
