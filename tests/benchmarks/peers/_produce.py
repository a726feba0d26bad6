"""A producer at the end of a pipe: reads how much to enqueue, does it, and answers how many seconds it took."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

_PAD = "x" * 100


def push(channel: int) -> dict[str, Any]:
    """Make a push of about 150 bytes, with the time in it."""
    return {"to": f"room:{channel}", "data": {"t": time.time(), "pad": _PAD}}


async def serve(enqueue: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
    """Read lines of "<pushes> <channels> <at once>" until there are no more."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        count, channels, at_once = map(int, line.split())
        begun = time.monotonic()
        for start in range(0, count, at_once):
            await asyncio.gather(*[enqueue(push(number % channels)) for number in range(start, min(start + at_once, count))])
        print(time.monotonic() - begun, flush=True)
