"""The peer taskiq on Redis Streams, which acknowledge: `taskiq worker` runs it; as a script it is its producer."""

import asyncio
import os
from typing import Any

from taskiq_redis import RedisStreamBroker  # type: ignore[import-not-found]

from tests.benchmarks.peers._append import append, client
from tests.benchmarks.peers._produce import serve

broker = RedisStreamBroker(os.environ["BENCH_REDIS"], consumer_id="0")  # "$", the default, would pass over what is there at start
_log = client()


@broker.task(task_name="push")  # type: ignore[untyped-decorator]
async def push(push: dict[str, Any]) -> None:
    await append(_log, push)


async def produce() -> None:
    await broker.startup()
    await serve(push.kiq)


if __name__ == "__main__":
    asyncio.run(produce())
