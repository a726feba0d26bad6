"""The resume rule: what histories and ring give a subscriber after its position, and what is missing there.

Its reasons stand in design.md ("Cursor and resume"); it was tried there on an executable model.
"""

from collections.abc import Mapping
from typing import NamedTuple

from tailrace.edge._ring import Ring
from tailrace.log import ChannelHistory
from tailrace.wire import Entry


class Missing(NamedTuple):
    """Events of a channel that can't be had any more."""

    channel: str
    upto: int
    """The last that is missing; tells whether it was said already."""
    next: int
    """The first that can be had, or where none is there, the last that is missing."""


class Replay(NamedTuple):
    """One bounded batch from the histories."""

    missing: list[Missing]
    """To be said before the position moves at all."""
    entries: list[Entry]
    position: int
    """Where the subscriber is after all of them."""


def replay(histories: Mapping[str, ChannelHistory], ring: Ring, after: int, bound: int, excused: Mapping[str, int]) -> Replay:
    """Merge what histories hold after a position, up to `bound`: the ring's base when they were asked.

    `excused` are channels of a rewind: what they lack up to the given position was before the stream began.
    """
    stops = [entries[-1].id for entries, more, _ in histories.values() if more and entries]
    limit = min([*stops, bound])
    missing = []
    for channel, (entries, _, last) in histories.items():
        in_ring = ring.first(bound, channel)
        oldest = entries[0] if entries and not (in_ring and in_ring.id < entries[0].id) else in_ring
        upto = oldest.before if oldest else last
        if upto > after and upto > excused.get(channel, -1):
            missing.append(Missing(channel, upto, oldest.id if oldest else upto))
    merged = sorted([entry for entries, _, _ in histories.values() for entry in entries if entry.id <= limit])
    return Replay(missing, merged, limit)
