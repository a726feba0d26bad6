"""What goes to which shard of a batch's pushes, and the receipt of a job whose pushes are there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tailrace.events import Appended, NewEvent
from tailrace.wire import JobReceipt, JobState, PushJob, Receipt, bucket, encode_receipt, render
from tailrace.worker._receipts import receipt


class Delivery(NamedTuple):
    """A job of a batch that is delivered."""

    position: int
    ticket: str
    job: str
    pushes: tuple[PushJob, ...]
    blocks: tuple[bytes, ...]
    """Rendered; empty where a push is left out."""
    out: Mapping[int, Receipt]
    """Pushes that are left out."""
    many: bool
    listener: str | None


def event_name(ticket: str, index: int) -> str:
    """Name a push in the log's answers."""
    return f"{ticket}:{index}"


def ticket_of(name: str) -> str:
    """Return the ticket that an event's name begins with."""
    return name.partition(":")[0]


def number(ticket: str) -> int:
    """Return a ticket's number; jobs were given out in the order of these."""
    return int(ticket.partition(".")[2])


def blocks(pushes: Sequence[PushJob], out: Collection[int], now_ms: int) -> tuple[bytes, ...]:
    """Render what is delivered of a job."""
    if not out:
        return tuple([render(push, now_ms) for push in pushes])
    return tuple([b"" if index in out else render(push, now_ms) for index, push in enumerate(pushes)])


def events(deliveries: Iterable[Delivery], shards: int, known: Collection[str]) -> list[list[NewEvent]]:
    """Return for each shard what is to be appended there, in order; what it is known to have is left out."""
    by_shard: list[list[NewEvent]] = [[] for _ in range(shards)]
    for delivery in deliveries:
        for index, (push, block) in enumerate(zip(delivery.pushes, delivery.blocks, strict=True)):
            name = f"{delivery.ticket}:{index}"
            if block and name not in known:
                by_shard[bucket(push.to, shards)].append(NewEvent(name, push.to, block, push.key or ""))
    return by_shard


def delivered(delivery: Delivery, appended: Mapping[str, Appended], there: Mapping[str, int], now_ms: int) -> bytes:
    """Write the receipt of a job whose pushes have been appended, or left out."""
    receipts = []
    for index, push in enumerate(delivery.pushes):
        entry = appended.get(event_name(delivery.ticket, index))
        receipts.append(receipt(push, delivery.blocks[index], entry, there.get(push.to, 0), now_ms) if entry else delivery.out[index])
    state = JobState.EXPIRED if receipts and len(delivery.out) == len(receipts) else JobState.APPENDED
    return encode_receipt(JobReceipt(delivery.job, state, receipts, delivery.many))
