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


class Batch:
    """A batch on its way."""

    def __init__(self, taken: Taken, deliveries: list[Delivery]) -> None:
        self.taken, self.deliveries = taken, deliveries
        self.asking = [delivery for delivery in deliveries if delivery.listener is not None]
        """Deliveries that somebody wants a receipt of."""
        self.appended: dict[str, Appended] = {}
        """By event name, if somebody asks."""
        self.outcomes: list[tuple[int, str]] = []
        """Shard and field of each commit."""
        self.unanswered = 0
        """Commits."""


class Commit(NamedTuple):
    """Events of a batch for one shard."""

    number: int
    events: Sequence[NewEvent]
    batch: Batch


_ITEMS, _BYTES = 16, 32 << 10
"""Of a part, unless one item is larger: about half a millisecond's work."""


async def each_part(items: Sequence[T], size: Callable[[T], int], work: Callable[[Sequence[T]], R]) -> list[R]:
    """Return what some work makes of each part; `size` says how many bytes an item has.

    An item that is larger than a part (one job may hold ten thousand pushes) is worked on in a thread: Redis would have nothing to do
    while the loop stands.
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
