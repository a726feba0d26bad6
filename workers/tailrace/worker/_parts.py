"""Goes through a batch part by part, so that neither commits nor the lease wait for the end of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 16
_LARGE_BYTES = 32 << 10


async def each_part(items: Sequence[T], size: Callable[[T], int], work: Callable[[Sequence[T]], R]) -> list[R]:
    """Return what some work makes of each part; `size` says how many bytes an item has.

    What is large (one job may hold ten thousand pushes) is worked on in a thread: Redis would have nothing to do while the loop stands.
    """
    done = []
    for start in range(0, len(items), _AT_ONCE):
        part = items[start : start + _AT_ONCE]
        if sum(map(size, part)) > _LARGE_BYTES:
            done.append(await asyncio.to_thread(work, part))
        else:
            if start:
                await asyncio.sleep(0)
            done.append(work(part))
    return done
