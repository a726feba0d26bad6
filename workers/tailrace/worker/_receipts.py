"""Receipts: what who asked for it is told about a job."""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, Raw

from tailrace.events import AWAY, Appended
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
from tailrace.worker._batch import Delivery, event_name

_DATA = b"\ndata: "


def delivered(delivery: Delivery, appended: Mapping[str, Appended], there: Mapping[str, int], now_ms: int) -> bytes:
    """Write the receipt of a job whose pushes have been appended, or left out."""
    receipts = []
    for index, push in enumerate(delivery.pushes):
        entry = appended.get(event_name(delivery.ticket, index))
        receipts.append(receipt(push, delivery.blocks[index], entry, there.get(push.to, 0), now_ms) if entry else delivery.out[index])
    state = JobState.EXPIRED if receipts and len(delivery.out) == len(receipts) else JobState.APPENDED
    return encode_receipt(JobReceipt(delivery.job, state, receipts, delivery.many))


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
