"""What tests of the worker share: raw jobs as any language may produce them, what became of them, and a worker in this loop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

from tailrace.events import whole_entries
from tailrace.redis import connect
from tailrace.wire import Entry, JobReceipt, Keys, decode_receipt
from tailrace.worker._config import WorkerConfig
from tailrace.worker._worker import run
from tailrace.worker.calls._arq_settings import Application
from tailrace.worker.calls._functions import Function
from tests.support.wait import wait_until


class DeadLetter(NamedTuple):
    job: str
    reason: str
    path: str
    queue: str
    payload: bytes
    traceback: str


class Bench:
    """A Redis with tailrace's keys, seen from outside."""

    def __init__(self, url: str, shards: int = 1, queue_url: str = "") -> None:
        self.url, self.shards, self.keys = url, shards, Keys()
        self.logs = connect(url)
        self.queues = connect(queue_url or url)
        self._last = 0.0

    async def put(self, job: str, payload: bytes | None, due_ms: float | None = None, queue: str = "tailrace:queue") -> None:
        """Enqueue as a raw producer does; scores rise, so jobs keep the order in which they are put."""
        self._last = max(self._last + 0.01, time.time() * 1000 - 1)
        if payload is not None:
            await self.queues.set(f"arq:job:{job}", payload, px=60_000)
        await self.queues.zadd(queue, {job: self._last if due_ms is None else due_ms})

    async def push(self, job: str, to: str, data: Any = None, *, due_ms: float | None = None, **options: Any) -> None:
        kwargs = {"receipt": options.pop("receipt")} if "receipt" in options else {}
        push = {"to": to, "data": {"job": job} if data is None else data, **options}
        await self.put(job, payload("push", push, **kwargs), due_ms)

    async def log(self, shard: int = 0) -> list[Entry]:
        return whole_entries(await self.logs.xrange(self.keys.log(shard)))

    async def all_logs(self) -> list[Entry]:
        return [entry for shard in range(self.shards) for entry in await self.log(shard)]

    async def jobs(self, channel: str) -> list[Any]:
        """List what `data.job` holds in a channel's events, in order."""
        return [data_of(entry)["job"] for entry in await self.all_logs() if entry.channel == channel]

    async def appended(self, count: int, timeout_s: float = 10) -> list[Entry]:
        async def enough() -> list[Entry]:
            entries = await self.all_logs()
            return entries if len(entries) >= count else []

        return await wait_until(enough, timeout_s)

    async def dead(self, count: int, timeout_s: float = 5) -> list[DeadLetter]:
        async def enough() -> list[DeadLetter]:
            letters = [_letter(fields) for _, fields in await self.queues.xrange(self.keys.dead())]
            return letters if len(letters) >= count else []

        return await wait_until(enough, timeout_s)

    async def receipt(self, job: str, timeout_s: float = 5) -> JobReceipt:
        async def there() -> bytes | None:
            return cast("bytes | None", await self.queues.get(self.keys.receipt(job)))

        return decode_receipt(cast("bytes", await wait_until(there, timeout_s)))

    async def idle(self, timeout_s: float = 10) -> None:
        """Wait until nothing is queued or in hand."""

        async def empty() -> bool:
            names = (self.keys.queue(), self.keys.hand(), self.keys.calls())
            return int(await self.queues.exists(*names)) == 0

        await wait_until(empty, timeout_s)

    async def close(self) -> None:
        await self.logs.aclose()
        await self.queues.aclose()


@asynccontextmanager
async def bench(url: str, shards: int = 1, queue_url: str = "") -> AsyncIterator[Bench]:
    made = Bench(url, shards, queue_url)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def working(url: str, functions: Mapping[str, Function] | None = None, **settings: Any) -> AsyncIterator[None]:
    """Run a worker in this loop."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(WorkerConfig(redis=url, **settings), Application(functions or {}), stopping, ready.set))
    try:
        await wait_until(lambda: ready.is_set() or task.done())
        yield
    finally:
        stopping.set()
        await task


def payload(function: str, *args: Any, **kwargs: Any) -> bytes:
    return json.dumps({"t": None, "f": function, "a": args, "k": kwargs, "et": 0}).encode()


def data_of(entry: Entry) -> Any:
    return json.loads(entry.block.partition(b"\ndata: ")[2])


def client(url: str) -> Redis:
    return connect(url)


def _letter(fields: Mapping[bytes, bytes]) -> DeadLetter:
    text = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
    return DeadLetter(text["job"], text["reason"], text["path"], text["queue"], fields[b"payload"], text.get("traceback", ""))
