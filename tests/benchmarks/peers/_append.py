"""What the peers' functions do with a push: validate it as tailrace does, and append it."""

import os
import time
from typing import Any

import msgspec
from redis.asyncio import Redis

from tailrace.wire import PushJob, check_push, render

_MOST = 100_000


async def append(redis: "Redis", push: dict[str, Any]) -> None:
    checked = check_push(msgspec.convert({**push, "data": msgspec.Raw(msgspec.json.encode(push["data"]))}, PushJob))
    block = render(checked, int(time.time() * 1000))
    await redis.xadd(os.environ["BENCH_LOG"], {"h": checked.to, "b": block}, maxlen=_MOST)


def client() -> "Redis":
    redis: Redis = Redis.from_url(os.environ["BENCH_REDIS"])
    return redis
