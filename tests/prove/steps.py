"""Lets a trial whose parts run side by side say what it finds as one sequence of counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.prove.frame import Count

Say = Callable[[Count], None]


async def steps(work: Callable[[Say], Awaitable[None]]) -> AsyncIterator[Count]:
    """Do the work, and give each count that it says. Raises what the work raises."""
    said: asyncio.Queue[Count | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await work(said.put_nowait)
        finally:
            said.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (count := await said.get()) is not None:
            yield count
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])
