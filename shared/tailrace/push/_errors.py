"""What a producer can meet besides a push of its own that can't be valid (`PushError`).

TailraceError
└── EnqueueError         the operators': nothing was enqueued, or it isn't known whether (HTTP 503 with Retry-After)
    ├── QueueBrokenError   another program has overwritten the queue
    ├── QueueFullError     too many jobs wait, or Redis is out of memory (OOM)
    ├── RedisAwayError     Redis can't be reached, or didn't answer in time
    └── RedisRefusedError  Redis answered with an error
        ├── RedisBusyError      it runs a script, loads its data or has too many clients (BUSY, LOADING): passes without help
        ├── RedisReadOnlyError  it takes no writes now (READONLY, NOREPLICAS, MISCONF)
        └── RedisAccessError    a wrong password, a missing permission, no such database (WRONGPASS, NOAUTH, NOPERM): needs a change
"""

from tailrace.redis import Refusal, Remedy
from tailrace.wire import TailraceError

RETRY_AFTER_S = 5
"""When it is worth while to try again."""


class EnqueueError(TailraceError):
    """Redis or a queue in it can't take jobs now."""

    def __init__(self, reason: str, *, uncertain: bool = False, detail: str = "") -> None:
        told = "it isn't known whether anything was enqueued" if uncertain else "nothing was enqueued"
        self.public = f"{reason}: {told}"
        """What a producer beyond a trust boundary may read: nothing about where Redis is or who uses it."""
        super().__init__(f"{self.public} ({detail})" if detail else self.public)
        self.uncertain = uncertain
        """Whether the jobs may have been enqueued all the same; a push with a `key` can safely be sent again."""


class QueueFullError(EnqueueError):
    """Back pressure: too many jobs wait, or Redis is short of memory. Try again later."""


class QueueBrokenError(EnqueueError):
    """A queue's key holds something else; nothing is enqueued until somebody renames or deletes it."""


class RedisAwayError(EnqueueError):
    """Redis can't be reached, or gave no answer in time."""

    def __init__(self, cause: str, *, uncertain: bool, connected: bool = True) -> None:
        """Without `connected`, the fault is this process's: it can't open a connection."""
        super().__init__("Redis is away" if connected else "no connection can be made", uncertain=uncertain, detail=cause)


class RedisRefusedError(EnqueueError):
    """Redis answered with an error."""

    def __init__(self, refusal: Refusal, cause: str, *, uncertain: bool) -> None:
        super().__init__(refusal.meaning, uncertain=uncertain, detail=cause)
        self.code = refusal.code
        """Redis's error code, such as `BUSY`; `ERR` where it gave none."""


class RedisBusyError(RedisRefusedError):
    """Redis is occupied: it runs a script, loads its data, or has as many clients as it takes."""


class RedisReadOnlyError(RedisRefusedError):
    """Redis takes no writes: it is a replica, has too few replicas, or can't save to disk."""


class RedisAccessError(RedisRefusedError):
    """Redis doesn't let this user in: a wrong or missing password, a missing permission, a database that doesn't exist."""


_CLASSES = {
    Remedy.WAIT: RedisBusyError,
    Remedy.FAILOVER: RedisReadOnlyError,
    Remedy.SERVER: RedisReadOnlyError,
    Remedy.ACCESS: RedisAccessError,
    Remedy.UNKNOWN: RedisRefusedError,
}


def enqueue_error(refusal: Refusal | None, cause: str, *, uncertain: bool, connected: bool = True) -> EnqueueError:
    """Make the error that says why jobs weren't enqueued; without a refusal, Redis didn't answer."""
    if refusal is None:
        return RedisAwayError(cause or "no answer in time", uncertain=uncertain, connected=connected)
    if refusal.remedy is Remedy.MEMORY:
        return QueueFullError(refusal.meaning, uncertain=uncertain, detail=cause)
    return _CLASSES[refusal.remedy](refusal, cause, uncertain=uncertain)
