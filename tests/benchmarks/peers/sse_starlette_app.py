"""The peer sse-starlette: a queue per client, fed from one Redis Stream."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from sse_starlette import EventSourceResponse, ServerSentEvent  # type: ignore[import-not-found]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

_queues: set[asyncio.Queue[tuple[str, str]]] = set()


async def _feed() -> None:
    redis, last = Redis.from_url(os.environ["BENCH_REDIS"], socket_timeout=None), b"$"
    while True:
        for _, entries in await redis.xread({os.environ["BENCH_CHANNEL"]: last}, block=1000, count=512) or ():
            for entry_id, fields in entries:
                last = entry_id
                for queue in _queues:
                    queue.put_nowait((entry_id.decode(), fields[b"data"].decode()))


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(_feed())
    yield
    task.cancel()


async def _events() -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    _queues.add(queue)
    try:
        while True:
            entry_id, data = await queue.get()
            yield ServerSentEvent(data, event="message", id=entry_id)
    finally:
        _queues.discard(queue)


async def _sse(_: Request) -> EventSourceResponse:
    return EventSourceResponse(_events())


app = Starlette(routes=[Route("/sse", _sse)], lifespan=_lifespan)
