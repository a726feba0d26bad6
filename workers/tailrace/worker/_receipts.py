"""Receipts: what who asked for it is told about a job."""

from collections.abc import Sequence
from functools import partial

from msgspec import UNSET, Raw

from tailrace.events import AWAY, Appended, Registry
from tailrace.wire import (
    ALL,
    CLIENT_PREFIX,
    JobReceipt,
    JobState,
    PushJob,
    Receipt,
    encode_receipt,
    format_id,
    stamp,
)
from tailrace.worker._retry import Patience

LOST = "the job's payload is gone or of another type: it expired, was deleted, or overwritten"
_DATA = b"\ndata: "


def receipt(push: PushJob, block: bytes, entry: Appended, there: int, now_ms: int) -> Receipt:
    """Make the receipt of a push that was appended while so many (or AWAY) were there."""
    recipients = 0 if there == AWAY else there
    nobody = not recipients and (push.to == ALL or push.to.startswith(CLIENT_PREFIX))
    return Receipt(
        status="info" if nobody else "success",
        message=_message(push, entry, there, recipients),
        id=format_id(entry.id),
        recipients=recipients,
        event=push.event,
        to=push.to,
        data=UNSET if push.data is UNSET else Raw(block.partition(_DATA)[2][:-2]),
        text=push.text,
        timestamp=stamp(now_ms),
        duplicate=entry.duplicate,
    )


def _message(push: PushJob, entry: Appended, there: int, recipients: int) -> str:
    if entry.duplicate:
        return "appended before under this key"
    if there == AWAY:
        return "the client is away; it gets the event if it comes back"
    if push.to == ALL and not recipients:
        return "appended, but nobody is connected"
    return f"appended; {recipients} connected"


def dead(job: str, reason: str, path: str) -> bytes:
    """Write the receipt of a dead letter."""
    receipts: Sequence[Receipt] = [Receipt(status="error", message=reason, path=path)]
    return encode_receipt(JobReceipt(job, JobState.DEAD, list(receipts)))


_AT_ONCE = 1000  # a script's arguments are limited by Lua's stack


async def count(registry: Registry, patience: Patience, channels: Sequence[str]) -> dict[str, int]:
    """Count who is in each channel; AWAY for the own channel of a client that left a moment ago."""
    there: dict[str, int] = {}
    for start in range(0, len(channels), _AT_ONCE):
        some = channels[start : start + _AT_ONCE]
        there.update(zip(some, await patience.ask(partial(registry.recipients, some)), strict=True))
    return there
