"""A queue's scripts, as tests of them ask."""

from tailrace.queue import Queue, QueueLimits, Taken
from tests.worker.support import Bench, payload

PUSH = payload("push", {"to": "room:1", "data": 1})


def queue(seen: Bench, **limits: int) -> Queue:
    return Queue(seen.queues, seen.keys, 0, QueueLimits(**limits))


async def epoch_of(queue: Queue, owner: str = "me") -> int:
    grant = await queue.acquire(owner)
    assert grant
    return grant.epoch


async def take(queue: Queue, epoch: int, *mine: str) -> Taken:
    taken, _ = await queue.take(epoch, mine)
    assert taken
    return taken


def ids(taken: Taken) -> list[bytes]:
    return [job.id for job in taken.jobs]


async def lapse(seen: Bench) -> None:
    """Let the lease run out, as it does when a holder dies."""
    await seen.queues.delete(seen.keys.lease())
