"""Where a job is, and taking it back."""

from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis

from tailrace.queue._scripts import script
from tailrace.wire import (
    JOB_PREFIX,
    JobReceipt,
    JobState,
    Keys,
    PushError,
    decode_job,
    decode_receipt,
    encode_receipt,
    receipt_listener,
)


class Jobs:
    """Looks after jobs in all of a system's queues."""

    def __init__(self, redis: Redis, keys: Keys, partitions: int, receipt_s: float) -> None:
        """`receipt_s` is how long a cancelled job's receipt is kept."""
        self._redis, self._keys, self._partitions, self._receipt_ms = redis, keys, range(partitions), round(receipt_s * 1000)
        self._status, self._cancel = redis.register_script(script("status")), redis.register_script(script("cancel"))

    async def status(self, job: str) -> JobReceipt | None:
        """Say where a job is, with its receipt if it has ended; None where it is unknown or forgotten.

        Raises redis.RedisError.
        """
        queues = [name for part in self._partitions for name in (self._keys.queue(part), self._keys.line(part))]
        for each in self._ids(job):
            names = [*self._own(each), *queues, self._keys.calls(), ""]
            verdict, *rest = await self._status(keys=names, args=[each])
            if verdict == b"receipt":
                return msgspec.structs.replace(decode_receipt(rest[0]), job=self._keys.public_id(each))
            if verdict != b"unknown" or await self._in_hand(each):
                verdict = b"queued" if verdict == b"unknown" else verdict
                return JobReceipt(self._keys.public_id(each), JobState(verdict.decode()))
        return None

    async def cancel(self, job: str) -> JobState | None:
        """Cancel a job, if no worker has it, and return its state then: CANCELLED if that was in time, QUEUED if a worker has it.

        None where it is unknown or forgotten. Raises redis.RedisError.
        """
        for each in self._ids(job):
            if state := await self._cancel_stored(each):
                return state
        return None

    def _ids(self, job: str) -> Sequence[str]:
        """List the ids that a job may be stored under: tailrace's own form, then the form of a producer that writes to Redis itself."""
        return list(dict.fromkeys((self._keys.stored_id(job), job)))

    def _is_shared(self, job: str) -> bool:
        """Say whether a stored id may be another system's, too."""
        return job != self._keys.stored_id(job)

    def _own(self, job: str) -> list[str]:
        """Give the keys of a job: its receipt, its payload unless another system may have written that, and its claim."""
        payload = "" if self._is_shared(job) else JOB_PREFIX + job
        return [self._keys.receipt(job), payload, f"arq:in-progress:{job}"]

    async def _in_hand(self, job: str) -> bool:
        """Say whether a worker of this system has a push whose payload may be another system's."""
        if not self._is_shared(job):
            return False
        pipe = self._redis.pipeline(transaction=False)
        for part in self._partitions:
            pipe.hvals(self._keys.hand(part))
        return any(job.encode() in batch for batches in await pipe.execute() for batch in batches)

    async def _cancel_stored(self, job: str) -> JobState | None:
        cancelled = JobReceipt(job, JobState.CANCELLED)
        queues = [*map(self._keys.queue, self._partitions), self._keys.calls()]
        names = [*self._own(job), *queues]
        verdict, *rest = await self._cancel(keys=names, args=[job, encode_receipt(cancelled), self._receipt_ms])
        match verdict:
            case b"cancelled":
                await self._announce(cancelled, rest[0])
                return JobState.CANCELLED
            case b"receipt":
                return decode_receipt(rest[0]).state
            case b"late":
                return JobState.QUEUED
            case _:
                return JobState.QUEUED if await self._in_hand(job) else None

    async def _announce(self, receipt: JobReceipt, payload: bytes) -> None:
        """Tell who asked for the receipt of a push, or of a call."""
        try:
            listener = receipt_listener(decode_job(payload))
        except PushError:
            return
        if listener:
            await self._redis.publish(self._keys.receipts(listener), encode_receipt(receipt))
