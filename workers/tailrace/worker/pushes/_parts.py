"""Goes through a batch part by part, so that neither commits nor the lease wait for the end of it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
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
