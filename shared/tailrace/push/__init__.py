"""Pusher: what a producer installs to enqueue pushes and calls, and to learn what became of them."""

from tailrace.push._blocking import BlockingBatch, BlockingJob, BlockingPusher
from tailrace.push._errors import (
    RETRY_AFTER_S,
    EnqueueError,
    QueueBrokenError,
    QueueFullError,
    RedisAccessError,
    RedisAwayError,
    RedisBusyError,
    RedisReadOnlyError,
    RedisRefusedError,
)
from tailrace.push._push import Push
from tailrace.push._pusher import Batch, Job, Pusher
from tailrace.wire import JobReceipt, JobState, PushError, Receipt, TailraceError

__all__ = [
    "RETRY_AFTER_S",
    "Batch",
    "BlockingBatch",
    "BlockingJob",
    "BlockingPusher",
    "EnqueueError",
    "Job",
    "JobReceipt",
    "JobState",
    "Push",
    "PushError",
    "Pusher",
    "QueueBrokenError",
    "QueueFullError",
    "Receipt",
    "RedisAccessError",
    "RedisAwayError",
    "RedisBusyError",
    "RedisReadOnlyError",
    "RedisRefusedError",
    "TailraceError",
]
