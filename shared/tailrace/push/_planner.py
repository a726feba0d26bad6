"""Which jobs carry which pushes: one job for each partition and due time, in the order of the pushes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tailrace.queue import NewJob
from tailrace.wire import PushError, PushRequest, bucket, encode_pushes


class Plan(NamedTuple):
    """The jobs that carry some pushes."""

    jobs: list[NewJob]
    places: list[tuple[int, int]]
    """For each push: its job, and its place among the job's pushes."""


def due(request: PushRequest, now_ms: int, path: str = "$") -> str:
    """Write when a push is due, a delay by Redis' clock and not ours. Raises PushError: `at` can't be understood."""
    try:
        due_ms = request.due_ms(now_ms)
    except PushError as error:
        raise PushError(error.message, path + error.path[1:]) from None
    if due_ms is None:
        return ""
    return str(due_ms) if request.at else f"+{due_ms - now_ms}"


class Planner(NamedTuple):
    """Lays out the jobs of one producer."""

    partitions: int
    listener: str
    """Where it hears of receipts."""
    next_id: Callable[[int], str]

    def plan(self, requests: Sequence[PushRequest], now_ms: int, *, many: bool, receipt: bool) -> Plan:
        """Lay out jobs for checked pushes. Raises PushError: a time that can't be understood, with `many` at `$[3].at`."""
        groups: dict[tuple[int, str], list[int]] = {}
        for index, request in enumerate(requests):
            when = due(request, now_ms, f"$[{index}]" if many else "$")
            groups.setdefault((bucket(request.to, self.partitions), when), []).append(index)
        jobs: list[NewJob] = []
        places = [(0, 0)] * len(requests)
        listener = self.listener if receipt else None
        for number, ((partition, when), members) in enumerate(groups.items()):
            payload = encode_pushes([requests[index].job() for index in members], now_ms, many=many, receipt=listener)
            jobs.append(NewJob(self.next_id(now_ms), partition, payload, when))
            for place, index in enumerate(members):
                places[index] = (number, place)
        return Plan(jobs, places)
