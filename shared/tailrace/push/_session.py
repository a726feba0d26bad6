"""What a Pusher has in one event loop: its connections, and the identity under which it enqueues."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec
from redis.asyncio import Redis

from tailrace.push._batching import Lane
from tailrace.push._receipts import Receipts
from tailrace.queue import Jobs
from tailrace.redis import connect_queue
from tailrace.wire import Keys


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a Pusher was made with; `Pusher` says what each means."""

    url: str
    prefix: str
    partitions: int
    max_queue: int
    timeout_s: float
    receipt_s: float


class Session:
    """Enqueues, waits for receipts and looks after jobs in the event loop that runs now."""

    def __init__(self, settings: Settings, listener: str) -> None:
        """Connect at the first use. `listener` names the channel of the receipts."""
        keys = Keys(settings.prefix)
        self.redis, self._subscriber = connect_queue(settings.url), connect_queue(settings.url, timeout_s=None, connections=2)
        self.lane = Lane(self.redis, keys, max_queue=settings.max_queue, timeout_s=settings.timeout_s)
        self.receipts = Receipts(self.redis, self._subscriber, keys, listener)
        self.jobs = Jobs(self.redis, keys, settings.partitions, settings.receipt_s)
        # Nothing in it refers to this session, so that a Pusher that nobody closes disconnects as soon as it is forgotten.
        self._ending = _at_loop_end(partial(_disconnect, self.receipts, self.redis, self._subscriber))

    async def close(self) -> None:
        """Finish what is being enqueued, and disconnect; whoever waits for a receipt gets None."""
        await self.lane.close()
        await self._ending.aclose()


async def _disconnect(receipts: Receipts, *clients: Redis) -> None:
    await receipts.close()
    for client in clients:
        await client.aclose()


def _at_loop_end(work: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Have some work done when this generator or its loop is closed, whichever comes first.

    A loop closes the asynchronous generators that began in it when it ends (`asyncio.run` sees to that), after its tasks have ended. A
    task in place of the generator would keep programs waiting that wait for all tasks.
    """

    async def wait() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await work()

    generator = wait()
    with suppress(StopIteration):  # the yield
        generator.__anext__().send(None)
    return generator
