"""Cuts events into commits, so that no script call holds Redis for long."""

from collections.abc import Sequence

from tailrace.events import NewEvent

MAX_EVENTS, MAX_BYTES = 128, 256 << 10
"""The most of one commit. Redis does nothing else while it runs."""


def commits(events: Sequence[NewEvent]) -> list[list[NewEvent]]:
    """Cut the events of a shard into commits."""
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
