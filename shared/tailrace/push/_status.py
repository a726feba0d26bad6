"""Where a job is, and taking it back."""

from redis.asyncio import Redis

from tailrace.push._scripts import script
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
        names = [self._keys.receipt(job), JOB_PREFIX + job, f"arq:in-progress:{job}", *queues, self._keys.calls(), ""]
        verdict, *rest = await self._status(keys=names, args=[job])
        if verdict == b"receipt":
            return decode_receipt(rest[0])
        return None if verdict == b"unknown" else JobReceipt(job, JobState(verdict.decode()))

    async def cancel(self, job: str) -> JobState | None:
        """Cancel a job, if no worker has it, and return its state then: CANCELLED if that was in time, QUEUED if a worker has it.

        None where it is unknown or forgotten. Raises redis.RedisError.
        """
        cancelled = JobReceipt(job, JobState.CANCELLED)
        queues = [*map(self._keys.queue, self._partitions), self._keys.calls()]
        names = [self._keys.receipt(job), JOB_PREFIX + job, f"arq:in-progress:{job}", *queues]
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
                return None

    async def _announce(self, receipt: JobReceipt, payload: bytes) -> None:
        """Tell who asked for the receipt of a push, or of a call."""
        try:
            listener = receipt_listener(decode_job(payload))
        except PushError:
            return
        if listener:
            await self._redis.publish(self._keys.receipts(listener), encode_receipt(receipt))
