"""tailrace's own producer, beside those of its peers."""

import asyncio
import os

from tailrace.push import Pusher
from tests.benchmarks.peers._produce import serve


async def produce() -> None:
    async with Pusher(os.environ["BENCH_REDIS"]) as pusher:
        await serve(lambda push: pusher.push(push["to"], push["data"], receipt=False))


if __name__ == "__main__":
    asyncio.run(produce())
