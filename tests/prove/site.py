"""What trials run on: a Valkey, edges, workers, and Caddy before the edges, all real."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.support.dns import NameServer
from tests.support.ports import free_port
from tests.support.proxy import Proxy, caddy, loopback
from tests.support.redis import RedisServer
from tests.support.service import Service

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


@dataclass
class Site:
    """All parts run."""

    redis: RedisServer
    edges: list[Service]
    workers: list[Service]
    proxies: list[Proxy] = field(default_factory=list)


@asynccontextmanager
async def running(
    *,
    edges: Sequence[str] = (),
    workers: Sequence[str] = (),
    count: int = 1,
    worker_count: int = 1,
    with_caddy: bool = False,
    redis: Sequence[str] = DURABLE,
    make: Callable[..., Service] = Service,
) -> AsyncIterator[Site]:
    """Start everything; `edges` and `workers` are flags of each."""
    with ExitStack() as stack:
        site = await asyncio.to_thread(_start, stack, edges, workers, count, worker_count, with_caddy, redis, make)
        try:
            yield site
        finally:
            await asyncio.to_thread(stack.close)


def _start(
    stack: ExitStack,
    edges: Sequence[str],
    workers: Sequence[str],
    count: int,
    worker_count: int,
    with_caddy: bool,
    redis: Sequence[str],
    make: Callable[..., Service],
) -> Site:
    server = stack.enter_context(RedisServer("valkey", *redis))
    at_redis = ("--redis", server.url)
    hosts, port = (loopback(count), str(free_port())) if with_caddy else (["127.0.0.1"] * count, "0")
    streaming = [make("edge", "--host", host, "--port", port, *at_redis, *edges) for host in hosts]
    working = [Service("worker", *at_redis, *workers) for _ in range(worker_count)]
    proxies = []
    if with_caddy:
        names = stack.enter_context(NameServer({"edge": hosts}))
        proxies.append(caddy(names.address, {"edge": int(port)}))
    with ThreadPoolExecutor() as pool:
        list(pool.map(stack.enter_context, [*streaming, *working, *proxies]))
    return Site(server, streaming, working, proxies)


async def restart(part: Service | RedisServer) -> None:
    """Kill a part (`kill -9`), and start it again."""
    await asyncio.to_thread(_restart, part)


def _restart(part: Service | RedisServer) -> None:
    part.kill()
    part.start()


@asynccontextmanager
async def together(*parts: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.TaskGroup]:
    """Run parts as long as the block lasts."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(part)) for part in parts]
        yield group
        for task in tasks:
            task.cancel()


async def _awaited(part: Callable[[], Awaitable[None]]) -> None:
    await part()
