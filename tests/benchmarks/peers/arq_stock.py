"""The peer arq, as it comes or tuned: a worker, or with the word `produce` its producer."""

import asyncio
import os
import sys
from typing import Any

import arq.worker
import msgspec
from arq.connections import RedisSettings, create_pool

from tests.benchmarks.peers._append import append
from tests.benchmarks.peers._produce import serve

TUNED: dict[str, Any] = {"poll_delay": 0.01, "max_jobs": 200, "queue_read_limit": 1000, "keep_result": 0}
_SETTINGS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def push(ctx: dict[str, Any], push: dict[str, Any]) -> None:
    await append(ctx["redis"], push)


async def produce() -> None:
    pool = await create_pool(_SETTINGS, job_serializer=msgspec.json.encode)
    await serve(lambda push: pool.enqueue_job("push", push))


if __name__ == "__main__":
    if sys.argv[1:] == ["produce"]:
        asyncio.run(produce())
    else:
        arq.worker.Worker(
            [push],
            redis_settings=_SETTINGS,
            job_serializer=msgspec.json.encode,
            job_deserializer=msgspec.json.decode,
            handle_signals=False,
            **(TUNED if os.environ["BENCH_TUNED"] else {}),
        ).run()
