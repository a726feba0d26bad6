"""What is on its way: batches, and the commits of their events."""

from collections.abc import Sequence
from typing import NamedTuple

from tailrace.events import Appended, NewEvent
from tailrace.queue import Taken
from tailrace.worker.pushes._batch import Delivery


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
