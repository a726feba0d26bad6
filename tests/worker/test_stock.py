"""An application's own arq functions on our worker, called by a stock arq client."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import JobStatus, ResultNotFound, SerializationError

from tailrace.push import JobState, Pusher
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until
from tests.worker.support import bench, payload

pytestmark = pytest.mark.anyio
Arq = Any  # arq's pool; redis-py 5 types its commands as if they might not be awaited
CALLS, HERE = "tailrace:calls", "tests.worker.application"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as started:
        yield started


@pytest.fixture(scope="module")
def worker(server: RedisServer) -> Iterator[Service]:
    with Service("worker", "--redis", server.url, "--functions", HERE) as service:
        yield service


def decode(payload: bytes) -> dict[str, Any]:
    """Read jobs and results as the documents show it."""
    job: dict[str, Any] = msgspec.json.decode(payload)
    if job.get("s") is False:
        job["r"] = asyncio.CancelledError() if job["r"].startswith("CancelledError") else RuntimeError(job["r"])
    return job


@pytest.fixture
async def arq(server: RedisServer, worker: Service) -> AsyncIterator[Arq]:
    settings = RedisSettings.from_dsn(server.url)
    pool = await create_pool(settings, job_serializer=msgspec.json.encode, job_deserializer=decode, default_queue_name=CALLS)
    yield pool
    await pool.aclose()


async def enqueue(arq: Arq, *args: Any, **kwargs: Any) -> Any:
    job = await arq.enqueue_job(*args, **kwargs)
    assert job is not None
    return job


async def result(arq: Arq, *args: Any, **kwargs: Any) -> Any:
    job = await enqueue(arq, *args, **kwargs)
    return await job.result(timeout=5, poll_delay=0.01)


async def test_results_arguments_and_status(arq: Arq) -> None:
    assert await result(arq, "add", 1, b=2) == 3
    job = await enqueue(arq, "sleepy", 0.3)
    await wait_until(lambda: _is(job, JobStatus.in_progress))
    assert await job.result(timeout=5, poll_delay=0.01) == 1
    assert await job.status() is JobStatus.complete
    info = await job.result_info()
    assert (info.function, info.args, info.success, info.job_try, info.queue_name) == ("sleepy", [0.3], True, 1, CALLS)
    assert info.finish_time - info.start_time >= timedelta(seconds=0.3)


async def test_the_context(arq: Arq) -> None:
    before = time.time()
    ctx = await result(arq, "context", _job_id="me")
    assert (ctx["job_id"], ctx["job_try"], ctx["pool"]) == ("me", 1, "open")
    assert before - 0.1 <= ctx["enqueued"] <= time.time()
    assert ctx["score"] == pytest.approx(ctx["enqueued"] * 1000, abs=2)


async def test_retry_counts_failures_and_has_an_end(arq: Arq, server: RedisServer) -> None:
    assert await result(arq, "stubborn", 2) == 3
    with pytest.raises(RuntimeError, match="JobExecutionFailed: max 1 retries exceeded"):
        await result(arq, "once", 1, _job_id="once")
    async with bench(server.url) as seen:
        (letter,) = [letter for letter in await seen.dead(1) if letter.job == "once"]
        assert letter.reason.startswith("once failed: Retry")


@pytest.mark.parametrize("receipt", [True, False])
async def test_a_pusher_calls_with_any_arguments_and_none_is_taken_for_an_option(arq: Arq, server: RedisServer, receipt: bool) -> None:
    given = {"receipt": "theirs", "job_id": "1"}
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
        ("named", ("a", 2, 3), {}, ["a", 2, 3]),
        ("named", (), {"receipt": "mine"}, ["mine"]),
        ("named", (), {}, ["none"]),
        ("keywords", (1,), given, [1, given]),
        ("keywords", (), {}, [{}]),
    ]
    async with Pusher(server.url) as pusher:
        for function, args, kwargs, expected in calls:
            job = await pusher.call(function, *args, kwargs=kwargs, receipt=receipt)
            await wait_until(partial(arq.exists, f"arq:result:{job.id}"))
            assert msgspec.json.decode(await arq.get(f"arq:result:{job.id}"))["r"] == expected
            end = await job.receipt(5 if receipt else 0)
            assert (end.state if end else None) == (JobState.APPENDED if receipt else None)


async def test_a_stock_client_may_give_a_function_keywords_of_any_name(arq: Arq) -> None:
    assert await result(arq, "named", receipt="mine") == ["mine"]
    assert await result(arq, "keywords", receipt="mine", a=1) == [{"receipt": "mine", "a": 1}]


@pytest.mark.parametrize("function", ["add", "keywords"])
async def test_a_receipt_that_is_asked_for_among_the_keywords_is_made(arq: Arq, server: RedisServer, function: str) -> None:
    async with bench(server.url) as seen:
        await seen.put(f"older-{function}", payload(function, 1, receipt="me"), queue=CALLS)
        assert (await seen.receipt(f"older-{function}")).state == JobState.APPENDED


async def test_due_times(arq: Arq) -> None:
    started = time.time()
    job = await enqueue(arq, "add", 1, _defer_by=0.3)
    assert await job.status() is JobStatus.deferred
    until = await enqueue(arq, "add", 2, _defer_until=datetime.now(tz=UTC) + timedelta(seconds=0.5))
    assert await job.result(timeout=5, poll_delay=0.01) == 1
    assert time.time() - started >= 0.3
    assert await until.result(timeout=5, poll_delay=0.01) == 2
    assert time.time() - started >= 0.5


async def test_ids_are_unique_and_free_again_after_the_end(arq: Arq) -> None:
    first = await enqueue(arq, "sleepy", 0.2, _job_id="single")
    assert await arq.enqueue_job("sleepy", 0.2, _job_id="single") is None
    await first.result(timeout=5, poll_delay=0.01)
    for _ in range(2):
        job = await enqueue(arq, "forgetful", 1, _job_id="forgetful")
        await wait_until(partial(_is, job, JobStatus.not_found))


async def test_an_expired_job_does_not_run(arq: Arq, server: RedisServer) -> None:
    await enqueue(arq, "sleepy", 0, _job_id="late", _defer_by=0.3, _expires=0.1)
    async with bench(server.url) as seen:
        await wait_until(lambda: _buried(seen, "late", "gone"))
        assert await arq.exists("starts:late") == 0


async def test_abort(arq: Arq, server: RedisServer) -> None:
    running = await enqueue(arq, "sleepy", 60, _job_id="running")
    await wait_until(lambda: arq.exists("starts:running"))
    assert await running.abort(timeout=5, poll_delay=0.01) is True
    deferred = await enqueue(arq, "sleepy", 60, _job_id="deferred", _defer_by=60)
    assert await deferred.abort(timeout=5, poll_delay=0.01) is True
    assert await arq.exists("ends:running", "starts:deferred", "arq:abort") == 0
    async with bench(server.url) as seen:
        letters = await seen.queues.xrange(seen.keys.dead())
        assert {"running", "deferred"} & {fields[b"job"].decode() for _, fields in letters} == set()


async def test_what_fails_is_a_dead_letter_and_tells_the_client(arq: Arq, server: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="ValueError: why"):
        await result(arq, "raises", _job_id="broken")
    with pytest.raises(RuntimeError, match=r"TimeoutError: it took longer than 0\.2 s"):
        await result(arq, "hasty", 5)
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'c'"):
        await result(arq, "add", 1, c=2)
    async with bench(server.url) as seen:
        (letter,) = [letter for letter in await seen.dead(1) if letter.job == "broken"]
        assert "ValueError: why" in letter.traceback


async def test_a_client_with_nothing_but_json(arq: Arq, server: RedisServer) -> None:
    job = await enqueue(arq, "raises")
    plain = await create_pool(RedisSettings.from_dsn(server.url), job_deserializer=msgspec.json.decode, default_queue_name=CALLS)
    job._redis, job._deserializer = plain, msgspec.json.decode
    with pytest.raises(SerializationError, match="ValueError: why"):
        await job.result(timeout=5, poll_delay=0.01)
    await plain.aclose()


async def test_results_are_kept_as_long_as_asked(arq: Arq) -> None:
    for function in ("forgetful", "fleeting"):
        job = await enqueue(arq, function, 1)
        await wait_until(partial(_is, job, JobStatus.not_found))
        with pytest.raises(ResultNotFound):
            await job.result()
    kept = await enqueue(arq, "add", 1)
    await kept.result(timeout=5, poll_delay=0.01)
    assert 3_500_000 < await arq.pttl(f"arq:result:{kept.job_id}") <= 3_600_000


async def test_hooks(arq: Arq) -> None:
    assert await arq.lrange("hooks", 0, -1) == [b"startup"]
    job = await enqueue(arq, "add", 1)
    await job.result(timeout=5, poll_delay=0.01)
    await wait_until(lambda: _has(arq, f"hooks:{job.job_id}", [b"start", b"end 0", b"after 1"]))


async def test_cron(arq: Arq) -> None:
    await wait_until(lambda: arq.llen("beats"))
    (first, *_) = await arq.lrange("beats", 0, 0)
    assert int(first) % 1000 < 500


async def test_a_call_enqueues_another(arq: Arq) -> None:
    child = await result(arq, "parent")
    await wait_until(lambda: arq.exists(f"arq:result:{child}"))
    assert msgspec.json.decode(await arq.get(f"arq:result:{child}") or b"")["r"] == 42


async def test_the_health_check(arq: Arq) -> None:
    health = await wait_until(lambda: arq.get(f"{CALLS}:health-check"))
    assert b"j_complete=" in health


async def test_a_call_with_score_0_runs(arq: Arq) -> None:
    await arq.set("arq:job:zero", msgspec.json.encode({"f": "add", "a": [1]}))
    await arq.zadd(CALLS, {"zero": 0})
    await wait_until(lambda: arq.exists("arq:result:zero"))


async def _is(job: Any, status: JobStatus) -> bool:
    return bool(await job.status() is status)


async def _has(arq: Arq, key: str, values: list[bytes]) -> bool:
    return bool(await arq.lrange(key, 0, -1) == values)


async def _buried(seen: Any, job: str, reason: str) -> bool:
    letters = await seen.queues.xrange(seen.keys.dead())
    return any(fields[b"job"] == job.encode() and reason.encode() in fields[b"reason"] for _, fields in letters)
