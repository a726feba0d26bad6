"""Edges of both kinds, and a log to append to."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from tailrace.events import LogLimits, LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys, bucket, encode_json_block
from tests.edge.foreign import SERVERS, Foreign
from tests.support.redis import RedisServer
from tests.support.service import Service

FAST = {"heartbeat_s": "0.3", "registry_lease_s": "1.5", "retry_ms": "100", "busy_retry_ms": "300", "drain_s": "2"}
KINDS = ["tailrace edge", *(f"plugin on {server}" for server in SERVERS)]
"""An edge whose transport is handed over, then guests of other servers, over plain ASGI."""
StartEdge = Callable[..., Service]


class Log:
    """Appends to all shards."""

    def __init__(self, redis: Redis, shards: int = 1, limits: LogLimits | None = None) -> None:
        self.redis = redis
        self.keys = Keys()
        self._writers = [LogWriter(redis, self.keys, shard, limits) for shard in range(shards)]
        self.count = 0

    async def append(self, channel: str, *, times: int = 1, filler: int = 0) -> list[int]:
        """Append events that number themselves over all channels, and give their numbers."""
        numbers = list(range(self.count, self.count + times))
        self.count += times
        writer = self._writers[bucket(channel, len(self._writers))]
        for start in range(0, times, 100):
            part = numbers[start : start + 100]
            await writer.append([NewEvent(str(n), channel, _block(channel, n, filler)) for n in part])
        return numbers


def _block(channel: str, number: int, filler: int) -> bytes:
    extra = f',"filler":"{"x" * filler}"' if filler else ""
    return encode_json_block("message", f'{{"n":{number},"channel":"{channel}"{extra}}}'.encode())


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def log(redis: Redis) -> Log:
    return Log(redis)


def make_edge(redis_url: str, kind: str = KINDS[0], **settings: object) -> Service:
    """Make an edge that isn't started yet; settings by name."""
    chosen = {**FAST, "redis": redis_url, **{name: str(value) for name, value in settings.items()}}
    if kind == "tailrace edge":
        flags = [part for name, value in chosen.items() for part in ("--" + name.replace("_", "-"), value)]
        return Service("edge", *flags)
    names = {"redis": "REDIS_URL"}
    environ = {f"TAILRACE_{names.get(name, name.upper())}": value for name, value in chosen.items()}
    return Foreign(kind.removeprefix("plugin on "), environ)


class Site(NamedTuple):
    redis_url: str
    edge: Service
    other: Service


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """Start an edge of each kind, and another beside it, for all tests of a module that use nothing up."""
    with (
        RedisServer() as server,
        make_edge(server.url, request.param, origins="https://example.org") as edge,
        make_edge(server.url) as other,
    ):
        yield Site(server.url, edge, other)


@pytest.fixture
def start_edge() -> Iterator[StartEdge]:
    """Start edges that end with the test; settings by name."""
    with ExitStack() as stack:
        yield lambda redis_url, *kind, **settings: stack.enter_context(make_edge(redis_url, *kind, **settings))
