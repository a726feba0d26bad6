"""Push with arq as it is: only the serializer is JSON, and the queue is tailrace's."""

import asyncio
import os

import msgspec
from arq import create_pool
from arq.connections import RedisSettings


async def main() -> None:
    url = os.environ.get("TAILRACE_REDIS_URL", "redis://127.0.0.1:6379/0")
    arq = await create_pool(RedisSettings.from_dsn(url), job_serializer=msgspec.json.encode, default_queue_name="tailrace:queue")
    await arq.enqueue_job("push", {"to": "room:1", "event": "greeting", "data": {"from": "stock_arq"}})
    await arq.aclose()


asyncio.run(main())
