"""Push from asyncio, and see what became of it."""

import asyncio
import os

from tailrace.push import Pusher


async def main() -> None:
    async with Pusher(os.environ.get("TAILRACE_REDIS_URL", "redis://127.0.0.1:6379/0")) as pusher:
        job = await pusher.push("room:1", {"from": "python_pusher"}, event="greeting")
        end = await job.receipt(wait_s=5)
        print(end.receipts[0].message if end else "no receipt yet")


asyncio.run(main())
