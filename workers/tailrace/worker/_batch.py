"""What goes to which shard: the pushes of a batch as commits that no script call is too long for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tailrace.events import NewEvent
from tailrace.wire import PushJob, Receipt, bucket, render

MAX_EVENTS, MAX_BYTES = 128, 256 << 10
"""Of a commit. Redis does nothing else while it runs."""


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


def commits(events: Sequence[NewEvent]) -> list[list[NewEvent]]:
    """Cut what a shard is to append into commits."""
    if len(events) <= MAX_EVENTS and sum([len(event.block) for event in events]) <= MAX_BYTES:
        return [list(events)] if events else []
    cut: list[list[NewEvent]] = [[]]
    size = 0
    for event in events:
        if cut[-1] and (len(cut[-1]) == MAX_EVENTS or size + len(event.block) > MAX_BYTES):
            cut.append([])
            size = 0
        cut[-1].append(event)
        size += len(event.block)
    return cut
