"""The peer SAQ: a worker, or with the word `produce` its producer. Runs in the peers' environment."""

import asyncio
import os
import sys
from typing import Any

from saq import Queue, Worker  # type: ignore[import-not-found]

from tests.benchmarks.peers._append import append, client
from tests.benchmarks.peers._produce import serve

_CONCURRENCY = 100  # 10 by default; tried in turns, the worker's CPU per job was the same within noise (1.06 times, median of 4)
_queue = Queue.from_url(os.environ["BENCH_REDIS"])


async def push(ctx: dict[str, Any], push: dict[str, Any]) -> None:
    await append(ctx["log"], push)


async def startup(ctx: dict[str, Any]) -> None:
    ctx["log"] = client()


async def produce() -> None:
    await _queue.connect()
    await serve(lambda push: _queue.enqueue("push", push=push))


async def work() -> None:
    await _queue.connect()
    await Worker(_queue, [push], concurrency=_CONCURRENCY, startup=startup).start()


if __name__ == "__main__":
    asyncio.run(produce() if sys.argv[1:] == ["produce"] else work())
