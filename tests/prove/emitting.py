"""Functions that workers run in trials."""

from collections.abc import Iterator

import msgspec

from tailrace.worker import Event, function


class Told(msgspec.Struct):
    channels: list[str]
    first: int
    count: int


@function
def tell(told: Told) -> Iterator[Event]:
    """Emit so many events, numbered, to the channels in turn."""
    for number in range(told.first, told.first + told.count):
        yield Event(told.channels[number % len(told.channels)], {"n": number})
