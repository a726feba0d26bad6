"""The same verbs for scripts and WSGI applications: a Pusher on a loop of its own, in a thread."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tailrace.push._push import Push
from tailrace.push._pusher import Batch, Job, Pusher
from tailrace.wire import JobReceipt, JobState, Receipt

T = TypeVar("T")
_LATE_S = 1.0


class BlockingJob(NamedTuple):
    """A job that was enqueued."""

    pusher: "BlockingPusher"
    job: Job

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def new(self) -> bool:
        """False where a job with this id was there already, which was left alone."""
        return self.job.new

    def receipt(self, wait_s: float = 5) -> JobReceipt | None:
        """Wait for the job's end, and return its receipt, or None if there is none in time."""
        return self.pusher.run(self.job.receipt(wait_s))

    def status(self) -> JobReceipt | None:
        """Say where the job is; None once it is forgotten. Raises redis.RedisError."""
        return self.pusher.run(self.job.status())

    def cancel(self) -> JobState | None:
        """Cancel the job if no worker has it, and return its state then. Raises redis.RedisError."""
        return self.pusher.run(self.job.cancel())


class BlockingBatch(NamedTuple):
    """Pushes that were enqueued together."""

    pusher: "BlockingPusher"
    batch: Batch

    @property
    def jobs(self) -> list[BlockingJob]:
        """The jobs that carry them."""
        return [BlockingJob(self.pusher, job) for job in self.batch.jobs]

    def receipts(self, wait_s: float = 5) -> list[Receipt] | None:
        """Wait for all ends, and return the receipts in the order of the pushes, or None if one is missing in time."""
        return self.pusher.run(self.batch.receipts(wait_s))


class BlockingPusher:
    """Enqueues from synchronous code: `with BlockingPusher(url) as pusher: pusher.push("room:1", {"text": "hi"})`.

    Takes what `Pusher` takes, and its verbs take what theirs do. Any thread may use it, and a process that was forked after it was made
    (gunicorn --preload) connects anew.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """Connect at the first use."""
        self._url, self._options = url, options
        self._lock = threading.Lock()
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pusher: Pusher | None = None

    def push(self, to: str, *data: Any, **options: Any) -> BlockingJob:
        """Enqueue one push, as `Pusher.push` does."""
        return BlockingJob(self, self.run(self._started().push(to, *data, **options)))

    def push_many(self, pushes: Sequence[Push], *, receipt: bool = True) -> BlockingBatch:
        """Enqueue pushes together, as `Pusher.push_many` does."""
        return BlockingBatch(self, self.run(self._started().push_many(pushes, receipt=receipt)))

    def call(self, function: str, *argument: Any, **options: Any) -> BlockingJob:
        """Enqueue a call of an application's function, as `Pusher.call` does."""
        return BlockingJob(self, self.run(self._started().call(function, *argument, **options)))

    def status(self, job: str) -> JobReceipt | None:
        """Say where any job is; None where it is unknown or forgotten. Raises redis.RedisError."""
        return self.run(self._started().status(job))

    def cancel(self, job: str) -> JobState | None:
        """Cancel any job that no worker has, as `Pusher.cancel` does."""
        return self.run(self._started().cancel(job))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the Pusher's to its end."""
        self._started()
        if self._loop is None:
            raise RuntimeError("the loop has ended")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Finish what is being enqueued, let go who waits for a receipt, and disconnect; the next use connects anew."""
        with self._lock:
            if self._pusher and self._loop and self._thread and self._process == os.getpid():
                asyncio.run_coroutine_threadsafe(_end(self._pusher), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._pusher = self._loop = self._thread = None

    def __enter__(self) -> Self:
        """Return the Pusher; there is nothing to wait for."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def _started(self) -> Pusher:
        with self._lock:
            if self._pusher is None or self._process != os.getpid():
                pusher = Pusher(self._url, **self._options)
                self._process = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="tailrace-pusher", daemon=True)
                self._thread.start()
                self._pusher = pusher
            return self._pusher


async def _end(pusher: Pusher) -> None:
    """Close, and see that no thread waits for what this loop won't do any more."""
    pusher.release()
    await pusher.aclose()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=_LATE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
