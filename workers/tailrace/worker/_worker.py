"""One worker process: a line per partition, the calls of functions, and the signs of life that `--check` looks for."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import NamedTuple
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from tailrace.events import HistoryPolicy, LogLimits, LogWriter, Registry
from tailrace.queue import Queue, QueueLimits
from tailrace.redis import check_layout, check_redis, connect, connect_queue
from tailrace.wire import Keys
from tailrace.worker._bell import LONGEST_S, Bell
from tailrace.worker._config import WorkerConfig
from tailrace.worker._retry import TROUBLES, Patience, before, heed_cancel
from tailrace.worker.calls._arq_settings import Application
from tailrace.worker.calls._lifecycle import Means, serve_calls
from tailrace.worker.calls._runner import Emitter
from tailrace.worker.pushes._lease import serve
from tailrace.worker.pushes._pipeline import Line
from tailrace.worker.pushes._rebalance import Share

SIGN_EVERY_S, ALIVE_S = 5.0, 15.0
_BURST_LOOKS_S = 0.1
_log = logging.getLogger(__name__)


class Worker:
    """What the parts of a worker share."""

    def __init__(self, config: WorkerConfig, logs: Redis, queues: Redis, bells: list[tuple[Bell, Bell]]) -> None:
        self.config, self.logs, self.queues = config, logs, queues
        self.keys = Keys(config.prefix)
        self.log_patience = Patience("the logs' Redis")
        self.queue_patience = Patience("the queue's Redis") if config.queue_redis else self.log_patience
        limits = LogLimits(config.log_age_s, config.log_bytes, config.dedupe_s, HistoryPolicy(config.history))
        self.writers = [LogWriter(logs, self.keys, shard, limits, min_replicas=config.min_replicas) for shard in range(config.shards)]
        self.registry = Registry(logs, self.keys)
        self._bells, self._begun = bells, asyncio.Event()
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    @property
    def limits(self) -> QueueLimits:
        config = self.config
        return QueueLimits(
            config.batch_jobs,
            config.batch_bytes,
            round(config.lease_s * 1000),
            round(config.receipt_s * 1000),
            config.dead_letters,
            config.dead_bytes,
        )

    def queue(self, partition: int) -> Queue:
        return Queue(self.queues, self.keys, partition, self.limits)

    def line(self, partition: int) -> Line:
        config = self.config
        return Line(
            self.queue(partition),
            self.writers,
            self.registry,
            *self._bells[partition],
            self.queue_patience,
            self.log_patience,
            config.window,
            config.poll_ms / 1000,
            config.lease_s,
        )

    def share(self, stopping: asyncio.Event) -> Share:
        return Share(self.queues, self.keys, self._name, stopping)

    async def check(self) -> bool:
        """Wait for Redis, and see that it is as it has to be. Raises SetupError."""
        await self.log_patience.ask(partial(check_redis, self.logs))
        await self.log_patience.ask(partial(check_layout, self.logs, self.keys, self.config.shards))
        await self.queue_patience.ask(partial(check_redis, self.queues))
        return True

    async def sign(self) -> None:
        """Say again and again that this worker lives."""
        while True:
            with contextlib.suppress(*TROUBLES):
                await self._sign()
            heed_cancel()
            await asyncio.sleep(SIGN_EVERY_S)

    async def _sign(self) -> None:
        seconds, _ = await self.queues.time()
        pipe = self.queues.pipeline(transaction=False)
        pipe.zadd(self.keys.workers(), {self._name: seconds})
        pipe.zremrangebyscore(self.keys.workers(), "-inf", seconds - 4 * ALIVE_S)
        pipe.expire(self.keys.workers(), round(4 * ALIVE_S))
        await pipe.execute()

    async def leave(self) -> None:
        """Take this worker's sign of life back."""
        with contextlib.suppress(*TROUBLES):
            await asyncio.wait_for(self.queues.zrem(self.keys.workers(), self._name), 1)

    async def watch_burst(self, stopping: asyncio.Event, application: Application) -> None:
        """Stop when the queues that are served here hold nothing any more."""
        if any(each.run_at_startup for each in application.cron_jobs):
            await self._begun.wait()
        calls = bool(application.functions)
        while await self.queue_patience.ask(partial(self._left, calls)):  # noqa: ASYNC110 - Redis fires no event when a queue is empty
            await asyncio.sleep(_BURST_LOOKS_S)
        stopping.set()

    async def calls(self, application: Application, stopping: asyncio.Event) -> None:
        """Run calls until it is time to stop."""
        means = Means(Emitter(self.logs, self.writers, self.registry, self.log_patience), self.limits, self.queue_patience, self._begun)
        ctx = {"logs": self.logs, "keys": self.keys, "shards": self.config.shards, **application.ctx}
        await serve_calls(self.config, msgspec.structs.replace(application, ctx=ctx), means, stopping)

    async def _left(self, calls: bool) -> int:
        queues = [await self.queue(partition).depth() for partition in range(self.config.partitions)]
        return sum(queues) + (int(await self.queues.zcard(self.keys.calls())) if calls else 0)


@asynccontextmanager
async def connected(config: WorkerConfig) -> AsyncIterator[Worker]:
    """Make a worker's connections. Raises SetupError: a URL can't be read."""
    url = config.queue_redis or config.redis
    logs, queues = connect(config.redis), connect_queue(url)
    listeners = [connect_queue(url, timeout_s=LONGEST_S + 5, connections=2) for _ in range(config.partitions)]
    keys = Keys(config.prefix)
    bells = [(Bell(redis, keys.bell(partition)), Bell(redis, keys.free(partition))) for partition, redis in enumerate(listeners)]
    try:
        yield Worker(config, logs, queues, bells)
    finally:
        for bell in chain.from_iterable(bells):
            await bell.leave()
        for redis in (logs, queues, *listeners):
            await redis.aclose()


async def run(config: WorkerConfig, application: Application, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    """Work until it is time to stop. Raises SetupError."""
    async with connected(config) as worker:
        if not await before(stopping, worker.check()):
            return
        ready()
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(worker.sign())]
            if config.burst:
                helpers.append(tasks.create_task(worker.watch_burst(stopping, application)))
            share = worker.share(stopping)
            helpers.append(tasks.create_task(share.stop()))
            if config.partitions > 1:
                helpers.append(tasks.create_task(share.balance()))
            lines = [tasks.create_task(serve(worker.line(partition), stopping, share)) for partition in range(config.partitions)]
            lines.append(tasks.create_task(worker.calls(application, stopping)))
            await asyncio.wait(lines)
            for helper in helpers:
                helper.cancel()
        await worker.leave()


class Alive(NamedTuple):
    """Workers that gave a sign of life lately."""

    here: int
    """Those of this host's name, which in a container is the container's own."""
    everywhere: int


async def alive(config: WorkerConfig) -> Alive:
    """Count the workers that live. Raises redis.RedisError."""
    async with connected(config) as worker:
        seconds, _ = await worker.queues.time()
        names = await worker.queues.zrangebyscore(worker.keys.workers(), seconds - ALIVE_S, "+inf")
    return Alive(sum(name.rsplit(b":", 2)[0] == socket.gethostname().encode() for name in names), len(names))
