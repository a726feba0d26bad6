"""The same verbs for scripts and WSGI applications: a Pusher on a loop of its own, in a thread."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from weakref import finalize

from tailrace.push._fork import ProcessBound
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


class BlockingPusher(ProcessBound):
    """Enqueues from synchronous code: `with BlockingPusher(url) as pusher: pusher.push("room:1", {"text": "hi"})`.

    Takes what `Pusher` takes, and its verbs take what theirs do. Any thread may use it, and so may any process: one that was forked
    (gunicorn --preload, multiprocessing) has a thread and connections of its own, and so has one that it was pickled for.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """Connect at the first use. Raises SetupError, as `Pusher` does."""
        self._begin(Pusher(url, **options))

    def _begin(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: finalize[[Pusher, asyncio.AbstractEventLoop, threading.Thread], BlockingPusher] | None = None
        self._start_afresh()
        super().__init__()

    def push(self, to: str, *data: Any, **options: Any) -> BlockingJob:
        """Enqueue one push, as `Pusher.push` does."""
        return BlockingJob(self, self.run(self._pusher.push(to, *data, **options)))

    def push_many(self, pushes: Sequence[Push], *, receipt: bool = True) -> BlockingBatch:
        """Enqueue pushes together, as `Pusher.push_many` does."""
        return BlockingBatch(self, self.run(self._pusher.push_many(pushes, receipt=receipt)))

    def call(self, function: str, *args: Any, **options: Any) -> BlockingJob:
        """Enqueue a call of an application's function, as `Pusher.call` does."""
        return BlockingJob(self, self.run(self._pusher.call(function, *args, **options)))

    def status(self, job: str) -> JobReceipt | None:
        """Say where any job is; None where it is unknown or forgotten. Raises redis.RedisError."""
        return self.run(self._pusher.status(job))

    def cancel(self, job: str) -> JobState | None:
        """Cancel any job that no worker has, as `Pusher.cancel` does."""
        return self.run(self._pusher.cancel(job))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the Pusher's to its end."""
        self._check_process()
        with self._lock:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
        return future.result()

    def close(self) -> None:
        """Finish what is being enqueued, let go who waits for a receipt, and disconnect; the next use connects again."""
        self._check_process()
        with self._lock:
            if self._stop:
                self._stop()
            self._loop = self._stop = None

    def __enter__(self) -> Self:
        """Return the Pusher; there is nothing to wait for."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()

    def __getstate__(self) -> Pusher:
        """Return what another process needs to make the same."""
        return self._pusher

    def __setstate__(self, pusher: Pusher) -> None:
        """Make it there."""
        self._begin(pusher)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="tailrace-pusher", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started, so nothing would ever run
                loop.close()
                raise
            self._loop, self._stop = loop, finalize(self, _stop, self._pusher, loop, thread)
        return self._loop

    def _start_afresh(self) -> object:
        left = (self._loop, self._stop and self._stop.detach())
        self._loop = self._stop = None
        self._lock = threading.RLock()  # a signal handler may push while its thread is about to
        return left


def _stop(pusher: Pusher, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """End a loop and its thread: at `close()`, when the BlockingPusher is collected, or when the interpreter exits."""
    if threading.current_thread() is thread:  # collected there: nothing could run what is waited for here
        loop.stop()
        return
    asyncio.run_coroutine_threadsafe(_end(pusher), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


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
    await asyncio.get_running_loop().shutdown_asyncgens()  # a push that came meanwhile has connected again
