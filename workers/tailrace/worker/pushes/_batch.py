"""Batches in flight: the events that each shard is to append, their commits, and the receipts of jobs."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from tailrace.events import Appended, NewEvent
from tailrace.queue import Taken
from tailrace.wire import JobReceipt, JobState, PushJob, Receipt, bucket, encode_receipt, render
from tailrace.worker._receipts import receipt

T = TypeVar("T")
R = TypeVar("R")


class Delivery(NamedTuple):
    """A job of a batch whose pushes are appended."""

    position: int
    ticket: str
    job: str
    pushes: tuple[PushJob, ...]
    blocks: tuple[bytes, ...]
    """The pushes, rendered; empty where one isn't appended."""
    out: Mapping[int, Receipt]
    """Pushes that aren't appended, by index, with their receipts."""
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
    """Render the pushes of a job that are appended."""
    if not out:
        return tuple([render(push, now_ms) for push in pushes])
    return tuple([b"" if index in out else render(push, now_ms) for index, push in enumerate(pushes)])


def events(deliveries: Iterable[Delivery], shards: int, known: Collection[str]) -> list[list[NewEvent]]:
    """Return the events to append, by shard and in order, without those that shards are known to have."""
    by_shard: list[list[NewEvent]] = [[] for _ in range(shards)]
    for delivery in deliveries:
        for index, (push, block) in enumerate(zip(delivery.pushes, delivery.blocks, strict=True)):
            name = f"{delivery.ticket}:{index}"
            if block and name not in known:
                by_shard[bucket(push.to, shards)].append(NewEvent(name, push.to, block, push.key or ""))
    return by_shard


def delivered(delivery: Delivery, appended: Mapping[str, Appended], there: Mapping[str, int], now_ms: int) -> bytes:
    """Write the receipt of a job whose pushes were appended or rejected."""
    receipts = []
    for index, push in enumerate(delivery.pushes):
        entry = appended.get(event_name(delivery.ticket, index))
        receipts.append(receipt(push, delivery.blocks[index], entry, there.get(push.to, 0), now_ms) if entry else delivery.out[index])
    state = JobState.EXPIRED if receipts and len(delivery.out) == len(receipts) else JobState.APPENDED
    return encode_receipt(JobReceipt(delivery.job, state, receipts, delivery.many))


class Batch:
    """A batch in flight."""

    def __init__(self, taken: Taken, deliveries: list[Delivery]) -> None:
        self.taken, self.deliveries = taken, deliveries
        self.asking = [delivery for delivery in deliveries if delivery.listener is not None]
        """Deliveries for which a receipt was asked."""
        self.appended: dict[str, Appended] = {}
        """By event name, if a receipt was asked for."""
        self.outcomes: list[tuple[int, str]] = []
        """Shard and field of each commit."""
        self.unanswered = 0
        """How many commits have no answer yet."""


class Commit(NamedTuple):
    """Events of a batch for one shard."""

    number: int
    events: Sequence[NewEvent]
    batch: Batch


_ITEMS, _BYTES = 16, 32 << 10
"""Of a part, unless one item is larger: about half a millisecond's work."""


async def each_part(items: Sequence[T], size: Callable[[T], int], work: Callable[[Sequence[T]], R]) -> list[R]:
    """Apply `work` to each part, and return the results; `size` returns an item's bytes.

    An item that is larger than a part (one job may hold ten thousand pushes) is processed in a thread, so the loop can keep Redis busy.
    """
    done = []
    for part, large in _parts(items, size):
        if large:
            done.append(await asyncio.to_thread(work, part))
        else:
            if done:
                await asyncio.sleep(0)
            done.append(work(part))
    return done


def _parts(items: Sequence[T], size: Callable[[T], int]) -> Iterator[tuple[Sequence[T], bool]]:
    """Cut items into parts, and say whether each is one large item."""
    start, total = 0, 0
    for end, item in enumerate(items):
        if start < end and (end - start == _ITEMS or total + size(item) > _BYTES):
            yield items[start:end], total > _BYTES
            start, total = end, 0
        total += size(item)
    if items:
        yield items[start:], total > _BYTES
