"""The producers' client: enqueues pushes and calls, and tells what became of them."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from msgspec import UNSET

from tailrace.push._fork import ProcessBound
from tailrace.push._ids import JobIds
from tailrace.push._planner import CALLS, NewJob, Planner, due
from tailrace.push._push import Push, to_request
from tailrace.push._session import Session, Settings
from tailrace.redis import connect_queue
from tailrace.wire import (
    ALL,
    MAX_PARTITIONS,
    PUSH,
    PUSH_MANY,
    JobReceipt,
    JobState,
    Keys,
    PushError,
    PushRequest,
    Receipt,
    SetupError,
    check_numbers,
    encode_call,
)

LONGEST_ID = 256
_SHORTEST_S = 0.001
_WRITABLE = "#!lua\nreturn 1"
"""Writes nothing, but may: a Redis that accepts no writes refuses such a script before it runs."""


class Job(NamedTuple):
    """A job that was enqueued."""

    pusher: "Pusher"
    id: str
    new: bool = True
    """False where a job with this id was there already, which was left alone."""
    chosen: bool = False
    """The caller chose the id, so an earlier job may have had it."""

    async def receipt(self, wait_s: float = 5) -> JobReceipt | None:
        """Wait for the job's end, and return its receipt, or None if there is none in time."""
        return await self.pusher.receipt(self.id, wait_s, chosen=self.chosen)

    async def status(self) -> JobReceipt | None:
        """Say where the job is; None once it is forgotten. Raises redis.RedisError."""
        return await self.pusher.status(self.id)

    async def cancel(self) -> JobState | None:
        """Cancel the job if no worker has it, and return its state then. Raises redis.RedisError."""
        return await self.pusher.cancel(self.id)


class Batch(NamedTuple):
    """Pushes that were enqueued together, all or none, as one job for each partition and due time."""

    jobs: list[Job]
    places: list[tuple[int, int]]
    """For each push: its job, and its place among the job's pushes."""

    async def receipts(self, wait_s: float = 5) -> list[Receipt] | None:
        """Wait for all ends, and return the receipts in the order of the pushes, or None if one is missing in time."""
        deadline = time.monotonic() + wait_s
        ends = []
        for job in self.jobs:
            end = await job.receipt(max(0, deadline - time.monotonic()))
            if end is None:
                return None
            ends.append(end)
        return [_receipt_at(ends[job], place) for job, place in self.places]


def _receipt_at(end: JobReceipt, place: int) -> Receipt:
    if place < len(end.receipts):
        return end.receipts[place]
    return Receipt(status="error", message=f"the job is {end.state}")


class Pusher(ProcessBound):
    """Enqueues for one producer: `async with Pusher(url) as pusher: await pusher.push("room:1", {"text": "hi"})`.

    What one task pushes without `delay_s` or `at` is appended in that order. Every verb that enqueues returns when the jobs are in the
    queue, and raises PushError before anything is sent, QueueFullError or QueueBrokenError when nothing was enqueued, RedisAwayError when
    Redis didn't answer within `timeout_s`.

    One Pusher serves a whole program. It has connections of its own in each event loop that uses it, and closes them when that loop ends
    (`asyncio.run` sees to that) or when `aclose()` is called there. A forked process has an identity and connections of its own, and so has
    one that a Pusher was pickled for (multiprocessing's `spawn`). Code that runs no event loop uses `BlockingPusher`.
    """

    def __init__(  # noqa: PLR0913 - one name for each setting
        self,
        url: str,
        *,
        prefix: str = "tailrace",
        partitions: int = 1,
        max_queue: int = 0,
        timeout_s: float = 10,
        receipt_s: float = 3600,
    ) -> None:
        """Connect at the first use. `max_queue` bounds the jobs in one queue, 0 is no bound.

        `partitions` is the workers', and so is `receipt_s`: how long the receipt of a job is kept that is cancelled here.

        Raises SetupError: the URL can't be read, or names a Cluster; there can't be so many partitions; receipts aren't kept at all.
        """
        if partitions not in range(1, MAX_PARTITIONS + 1):
            raise SetupError(f"a queue has 1 to {MAX_PARTITIONS} partitions, and not {partitions}")
        if not receipt_s >= _SHORTEST_S:  # Redis would refuse when the job is gone
            raise SetupError(f"a receipt is kept for {_SHORTEST_S:g} s at least, and not for {receipt_s:g}")
        self._keys = Keys(prefix)
        connect_queue(url)  # sees whether the URL can be read
        self._settings = Settings(
            url=url, prefix=prefix, partitions=partitions, max_queue=max_queue, timeout_s=timeout_s, receipt_s=receipt_s
        )
        self._ids = JobIds()
        self._start_afresh()
        super().__init__()

    async def push(  # noqa: PLR0913 - one name for each option of a push
        self,
        to: str,
        data: Any = UNSET,
        *,
        event: str = "message",
        text: str | None = None,
        key: str | None = None,
        delay_s: float | None = None,
        at: datetime | None = None,
        expires_s: float | None = None,
        stamp: bool = True,
        receipt: bool = True,
    ) -> Job:
        """Enqueue one push; what each option means stands at `Push`. Without `receipt`, nobody is told of its end."""
        push = Push(
            to=to,
            event=event,
            data=data,
            text=UNSET if text is None else text,
            key=key,
            delay_s=delay_s,
            at=at,
            expires_s=expires_s,
            stamp=stamp,
        )
        return (await self.enqueue([to_request(push)], receipt=receipt)).jobs[0]

    async def push_many(self, pushes: Sequence[Push], *, receipt: bool = True) -> Batch:
        """Enqueue pushes together, all or none; those of one channel and due time are appended in this order."""
        requests = [to_request(push, f"$[{index}]") for index, push in enumerate(pushes)]
        return await self.enqueue(requests, many=True, receipt=receipt)

    async def call(  # noqa: PLR0913 - likewise
        self,
        function: str,
        *args: Any,
        kwargs: Mapping[str, Any] | None = None,
        job_id: str | None = None,
        delay_s: float | None = None,
        at: datetime | None = None,
        receipt: bool = True,
    ) -> Job:
        """Enqueue a call of an application's function, with what `args` and `kwargs` hold: anything that msgspec can write as JSON.

        A `@function` takes one positional argument; an arq function takes what it declares. Nothing is enqueued if a job has this `job_id`.
        """
        if function in (PUSH, PUSH_MANY):
            raise PushError(f"`{function}` isn't called: use the verb of this name")
        session = self._session()
        now_ms = _now_ms()
        when = due(to_request(Push(to=ALL, text="", delay_s=delay_s, at=at)), now_ms)
        payload, chosen = self._call(function, args, kwargs or {}, now_ms, receipt), job_id is not None
        job = NewJob(_checked(job_id) or self._ids.next(now_ms), CALLS, payload, when, chosen)
        (new,) = await session.lane.put([job])
        return Job(self, self._keys.public_id(job.id), new, chosen)

    async def enqueue(self, requests: Sequence[PushRequest], *, many: bool = False, receipt: bool = True) -> Batch:
        """Enqueue pushes that are the wire's and checked already (`check_push`); with `many` as `push_many`."""
        session = self._session()  # before the plan, which names this process as the one that hears of receipts
        jobs, places = self._planner.plan(requests, _now_ms(), many=many, receipt=receipt)
        if jobs:
            await session.lane.put(jobs)
        return Batch([Job(self, job.id) for job in jobs], places)

    async def receipt(self, job: str, wait_s: float = 5, *, chosen: bool = True) -> JobReceipt | None:
        """Wait for the end of a job that this Pusher enqueued; None if there is no receipt in time.

        For a job that another process enqueued, a receipt that doesn't exist yet is only seen at the end of the wait.
        `chosen` says that an earlier job may have had this id. What is announced is then compared with what Redis keeps,
        since it may be the late announcement of that job's end.
        """
        return await self._session().receipts.wait(job, wait_s, chosen=chosen)

    async def status(self, job: str) -> JobReceipt | None:
        """Say where any job is; None where it is unknown or forgotten. Raises redis.RedisError."""
        return await self._session().jobs.status(job)

    async def cancel(self, job: str) -> JobState | None:
        """Cancel any job that no worker has, and return its state then: CANCELLED, or what it is too late for; None where it is unknown.

        Raises redis.RedisError.
        """
        return await self._session().jobs.cancel(job)

    async def ping(self) -> None:
        """Check that Redis answers and accepts writes, without writing. Raises redis.RedisError."""
        await self._session().redis.register_script(_WRITABLE)()

    def release(self) -> None:
        """Let all who wait for receipts in this loop go with None, now and until `aclose()`: for a service that is about to end."""
        self._session().receipts.release()

    async def aclose(self) -> None:
        """Finish what is being enqueued in this loop, and disconnect; the next use connects again.

        Whoever waits for a receipt gets None.
        """
        self._check_process()
        if session := self._sessions.pop(asyncio.get_running_loop(), None):  # a push that comes meanwhile connects again
            await session.close()

    async def __aenter__(self) -> Self:
        """Return the Pusher; there is nothing to wait for."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        await self.aclose()

    def __getstate__(self) -> Settings:
        """Return what another process needs to make the same Pusher."""
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        """Make it there."""
        Pusher.__init__(self, **msgspec.structs.asdict(settings))

    def _session(self) -> Session:
        self._check_process()
        loop = asyncio.get_running_loop()
        return self._sessions.get(loop) or self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> Session:
        for ended in [other for other in list(self._sessions) if other.is_closed()]:
            self._sessions.pop(ended, None)
        session = self._sessions[loop] = Session(self._settings, self._listener)
        return session

    def _start_afresh(self) -> object:
        left = getattr(self, "_sessions", None)
        self._sessions: dict[asyncio.AbstractEventLoop, Session] = {}
        self._listener = secrets.token_hex(8)
        self._planner = Planner(self._settings.partitions, self._listener, self._ids.next)
        return left

    def _call(self, function: str, args: Sequence[Any], kwargs: Any, now_ms: int, receipt: bool) -> bytes:
        if not (isinstance(kwargs, Mapping) and all(isinstance(each, str) for each in kwargs)):
            raise PushError("expected a mapping of parameter names to values", "$.kwargs")
        try:
            payload = encode_call(function, args, kwargs, now_ms, self._listener if receipt else None)
            if payload.count(b"null") > 1:  # one is `t`
                check_numbers([args, kwargs], "$")
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PushError(f"can't be written as JSON: {error}") from None
        return payload


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _checked(job_id: str | None) -> str | None:
    if job_id is not None and not (0 < len(job_id) <= LONGEST_ID and job_id.isprintable()):
        raise PushError(f"a job's id has 1 to {LONGEST_ID} characters, all of them printable")
    return job_id
