"""The queues that are compared: how workers of each are started, and how a producer of its own puts pushes in."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.wire import JOB_PREFIX, Keys, PushJob, bucket, encode_pushes
from tests.benchmarks._process import GENERATOR, SERVER, pin, running
from tests.benchmarks._sides import payload, peer_python
from tests.support.redis import RedisServer
from tests.support.service import Service

TAILRACE, ARQ, TUNED, TASKIQ, SAQ = "tailrace worker", "stock arq", "stock arq, tuned", "taskiq", "SAQ"
KEYS = Keys("tailrace")
_ROOT = Path(__file__).parents[2]
_PEERS = "tests.benchmarks.peers"
_STOCK_LOG, _STOCK_QUEUE = "bench:log", "arq:queue"
_AT_ONCE = 500
AOF = ("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")

Start = Callable[[str, Path, int], AbstractContextManager[Sequence[int]]]
"""Starts so many workers at a Redis and gives the processes' ids. One has a core for itself; several may use all of them."""


class Queue(NamedTuple):
    """One side."""

    name: str
    log: str
    start: Start
    producer: Callable[[], Sequence[str]]
    """The command of a process that serves `_produce`."""
    wire: str = ""
    """The queue's key, where jobs are arq's and can be put in at once."""
    partitioned: bool = False
    """Whether several workers have a partition each."""


class Producer:
    """A producer's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def put(self, count: int, channels: int, at_once: int = _AT_ONCE) -> float:
        """Enqueue pushes, so many at the same time, and return the seconds that it took."""
        assert self._process.stdin
        self._process.stdin.write(f"{count} {channels} {at_once}\n".encode())
        return float(await self.line())

    async def line(self) -> bytes:
        assert self._process.stdout
        line = await asyncio.wait_for(self._process.stdout.readline(), 120)
        if not line:
            raise RuntimeError("a producer ended early")
        return line


@asynccontextmanager
async def producing(queue: Queue, url: str) -> AsyncIterator[Producer]:
    """Run a queue's producer."""
    pipe = asyncio.subprocess.PIPE
    words = ["taskset", "-c", str(GENERATOR), *queue.producer()]
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, env=_environ(url), cwd=_ROOT)
    producer = Producer(process)
    try:
        await producer.line()
        yield producer
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


@contextmanager
def with_aof() -> Iterator[RedisServer]:
    """Run a Valkey with its append-only file, which isn't written anew meanwhile."""
    with RedisServer("valkey", *AOF) as server:
        pin(server.pid, GENERATOR)
        yield server


async def fill(redis: "Redis", queue: str, jobs: Sequence[Sequence[PushJob]], *, many: bool, partitions: int = 1) -> None:
    """Enqueue the way arq does, which any producer may."""
    now = time.time() * 1000
    queues = [queue, *[KEYS.queue(partition) for partition in range(1, partitions)]]
    for start in range(0, len(jobs), 1000):
        pipe = redis.pipeline(transaction=False)
        for index, pushes in enumerate(jobs[start : start + 1000], start):
            name = f"{now:.0f}-{index:08}"
            pipe.set(f"{JOB_PREFIX}{name}", encode_pushes(pushes, round(now), many=many), px=86_400_000)
            pipe.zadd(queues[bucket(pushes[0].to, partitions)], {name: now - len(jobs) + index})
        await pipe.execute()


def push(channel: int) -> PushJob:
    return PushJob(to=f"room:{channel}", data=msgspec.Raw(payload()))


@contextmanager
def _tailrace(url: str, folder: Path, count: int) -> Iterator[Sequence[int]]:
    with _workers(url, count, count) as pids:
        if count == 1:
            pin(pids[0], SERVER)
        yield pids


@contextmanager
def _on_one_queue(url: str, folder: Path, count: int) -> Iterator[Sequence[int]]:
    """Start workers on one queue and one core: one holds it, and the others shall not be in its way."""
    with _workers(url, count, 1) as pids:
        for pid in pids:
            pin(pid, SERVER)
        yield pids


@contextmanager
def _workers(url: str, count: int, partitions: int) -> Iterator[Sequence[int]]:
    flags = ("--redis", url, "--log-level", "warning", "--partitions", str(partitions))
    workers = [Service("worker", *flags) for _ in range(count)]
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        list(pool.map(stack.enter_context, workers))
        yield [worker.pid for worker in workers]


def _peer(words: Callable[[], Sequence[str]], tuned: str = "") -> Start:
    @contextmanager
    def start(url: str, folder: Path, count: int) -> Iterator[Sequence[int]]:
        anywhere = ("taskset", "-c", f"0-{GENERATOR}") if count > 1 else ()
        with ExitStack() as stack:
            environ = _environ(url) | {"BENCH_TUNED": tuned}
            yield [stack.enter_context(running([*anywhere, *words()], SERVER, folder, environ)).pid for _ in range(count)]

    return start


def _environ(url: str) -> dict[str, str]:
    paths = f"{_ROOT}:{_ROOT / 'shared'}"
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": paths, "BENCH_REDIS": url, "BENCH_LOG": _STOCK_LOG, "BENCH_TUNED": ""}


def _ours(module: str, *words: str) -> Callable[[], Sequence[str]]:
    return lambda: [sys.executable, "-m", f"{_PEERS}.{module}", *words]


def _theirs(*words: str) -> Callable[[], Sequence[str]]:
    return lambda: [peer_python(), "-m", *words]


_TASKIQ = ("taskiq", "worker", f"{_PEERS}.taskiq_app:broker", "--workers", "1", "--log-level", "ERROR")
QUEUES = (
    Queue(TAILRACE, KEYS.log(0), _tailrace, _ours("tailrace_pusher"), KEYS.queue(), partitioned=True),
    Queue(ARQ, _STOCK_LOG, _peer(_ours("arq_stock")), _ours("arq_stock", "produce"), _STOCK_QUEUE),
    Queue(TUNED, _STOCK_LOG, _peer(_ours("arq_stock"), "yes"), _ours("arq_stock", "produce"), _STOCK_QUEUE),
    Queue(TASKIQ, _STOCK_LOG, _peer(_theirs(*_TASKIQ)), _theirs(f"{_PEERS}.taskiq_app")),
    Queue(SAQ, _STOCK_LOG, _peer(_theirs(f"{_PEERS}.saq_app")), _theirs(f"{_PEERS}.saq_app", "produce")),
)
ONE_QUEUE = QUEUES[0]._replace(start=_on_one_queue, partitioned=False)
"""Ours, where several workers share a queue."""
