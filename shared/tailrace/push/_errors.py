"""What a producer can meet besides a push of its own that can't be valid (`PushError`).

TailraceError
├── QueueBrokenError the operators': another program has overwritten the queue (HTTP 503 with Retry-After)
├── QueueFullError   the operators': too much waits, or Redis' memory runs out (HTTP 503 with Retry-After)
└── RedisAwayError   the operators': Redis didn't answer in time (HTTP 503 with Retry-After)
"""

from tailrace.wire import TailraceError

RETRY_AFTER_S = 5
"""When it is worth while to try again."""


class QueueFullError(TailraceError):
    """Back pressure: nothing was enqueued; try again later."""


class QueueBrokenError(TailraceError):
    """A queue's key holds something else: nothing was enqueued, nor will be until somebody renames or deletes it."""


class RedisAwayError(TailraceError):
    """Redis gave no answer in time."""

    def __init__(self, cause: str, *, uncertain: bool, head: str = "Redis is away") -> None:
        told = "it isn't known whether anything was enqueued" if uncertain else "nothing was enqueued"
        super().__init__(f"{head}: {told} ({cause})")
        self.uncertain = uncertain
        """Whether the jobs may have been enqueued all the same; a push with a `key` can safely be sent again."""
