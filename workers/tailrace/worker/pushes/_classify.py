"""Says, from what a job holds alone, what is to become of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tailrace.wire import (
    CLIENT_PREFIX,
    PUSH,
    PUSH_MANY,
    JobError,
    PushError,
    PushJob,
    Receipt,
    decode_job,
    decode_pushes,
    receipt_listener,
)
from tailrace.worker._receipts import LOST

GONE = "no such client"
LATE = "expired before it was its turn"


class Deliver(NamedTuple):
    """The job's pushes are valid."""

    pushes: tuple[PushJob, ...]
    many: bool
    listener: str | None
    """Who asked for a receipt."""


class Bury(NamedTuple):
    """The job can't be valid."""

    reason: str
    path: str = "$"
    listener: str | None = None


class Move(NamedTuple):
    """The job is a call of a function."""


Verdict = Deliver | Bury | Move


def judge(payload: bytes | None) -> Verdict:
    """Read a job and decide."""
    if payload is None:
        return Bury(LOST)
    try:
        job = decode_job(payload)
    except JobError as error:
        return Bury(error.message, error.path)
    many = job.f == PUSH_MANY
    if not many and job.f != PUSH:
        return Move()
    try:
        asked = decode_pushes(job)
    except PushError as error:
        return Bury(error.message, error.path, receipt_listener(job))
    return Deliver(asked.pushes, many, asked.options.receipt)


def left_out(pushes: Sequence[PushJob], late_ms: float, there: Mapping[str, int]) -> dict[int, Receipt]:
    """Say which pushes of a job are not delivered, and why: too late, or for a client that isn't there.

    `late_ms` is how long ago the job was due; `there` counts who is in a client's channel.
    """
    out = {}
    for index, push in enumerate(pushes):
        if push.expires_s is not None and late_ms > push.expires_s * 1000:
            out[index] = expired(push)
        elif push.to.startswith(CLIENT_PREFIX) and there.get(push.to) == 0:
            out[index] = nobody(push)
    return out


def expired(push: PushJob) -> Receipt:
    """Make the receipt of a push that came too late."""
    return Receipt(status="info", message=LATE, event=push.event, to=push.to)


def nobody(push: PushJob) -> Receipt:
    """Make the receipt of a push for a client that is neither connected nor away."""
    return Receipt(status="error", message=GONE, recipients=0, event=push.event, to=push.to)
