"""The peer Litestar: its own ServerSentEvent, with Channels on Redis Streams."""

import os
from collections.abc import AsyncIterator

from litestar import Litestar, get
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.redis import RedisChannelsStreamBackend
from litestar.response import ServerSentEvent, ServerSentEventMessage
from redis.asyncio import Redis

_channel = os.environ["BENCH_CHANNEL"]
_backend = RedisChannelsStreamBackend(history=1000, redis=Redis.from_url(os.environ["BENCH_REDIS"], socket_timeout=None))
_plugin = ChannelsPlugin(backend=_backend, channels=[_channel])


async def _events() -> AsyncIterator[ServerSentEventMessage]:
    async with _plugin.start_subscription([_channel]) as subscriber:
        async for data in subscriber.iter_events():
            yield ServerSentEventMessage(data=data.decode(), event="message")


@get("/sse")
async def _sse() -> ServerSentEvent:
    return ServerSentEvent(_events())


app = Litestar([_sse], plugins=[_plugin], openapi_config=None)
