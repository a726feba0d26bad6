"""The peer arq, as it comes: a function that validates a push and appends it."""

import os
from typing import Any

import arq.worker
import msgspec
from arq.connections import RedisSettings

from tailrace.wire import PushJob, check_push, render

TUNED: dict[str, Any] = {"poll_delay": 0.01, "max_jobs": 200, "queue_read_limit": 1000, "keep_result": 0}


async def push(ctx: dict[str, Any], push: dict[str, Any]) -> None:
    checked = check_push(msgspec.convert({**push, "data": msgspec.Raw(msgspec.json.encode(push["data"]))}, PushJob))
    block = render(checked, int(ctx["enqueue_time"].timestamp() * 1000))
    await ctx["redis"].xadd(os.environ["BENCH_LOG"], {"h": checked.to, "b": block}, maxlen=100_000)


if __name__ == "__main__":
    arq.worker.Worker(
        [push],
        redis_settings=RedisSettings.from_dsn(os.environ["BENCH_REDIS"]),
        job_serializer=msgspec.json.encode,
        job_deserializer=msgspec.json.decode,
        handle_signals=False,
        **(TUNED if os.environ["BENCH_TUNED"] else {}),
    ).run()
