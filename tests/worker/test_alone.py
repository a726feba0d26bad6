"""Calls that have seen two deaths run alone, so that a third is surely their own; nobody is starved by that."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tailrace.queue import Back, CallQueue, QueueLimits, Room
from tailrace.wire import Keys
from tailrace.worker.calls._arq_settings import load
from tests.support.service import Service
from tests.support.wait import wait_until, wait_until_sync
from tests.worker.support import Bench, bench, payload, working

CALLS = "tailrace:calls"
TIMELESS = "tests.worker.application.Timeless"
INNOCENT = [f"innocent{number}" for number in range(4)]


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def test_what_runs_beside_a_call_that_kills_its_workers_ends_well(client: Any, redis_url: str) -> None:
    for number, job in enumerate([*INNOCENT, "fatal"]):
        client.set(f"arq:job:{job}", payload("beside", 0.3 if job in INNOCENT else 0.1, fatal=job == "fatal"))
        client.zadd(CALLS, {job: time.time() * 1000 + number / 1024})
    with Service("worker", "--redis", redis_url, "--functions", TIMELESS, "--call-lease-s", "0.5") as service:
        for _ in range(3):
            service.wait()
            client.delete("running")
            service.start()
        wait_until_sync(lambda: client.exists(*[f"arq:result:{job}" for job in INNOCENT]) == len(INNOCENT), 10)
        ((_, letter),) = wait_until_sync(lambda: client.xrange("tailrace:dead"))
        assert (letter[b"job"], letter[b"reason"]) == (b"fatal", b"3 workers died running this call")
        for job in (*INNOCENT, "fatal"):
            beside = [int(count) for count in client.lrange(f"beside:{job}", 0, -1)]
            assert len(beside) == 3
            assert beside[-1] == 1
        assert max(int(client.lindex(f"beside:{job}", 1)) for job in INNOCENT) > 1


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_only_calls_that_kill_their_workers_end_as_dead_letters(client: Any, redis_url: str) -> None:
    fatal = {f"{number:03}" for number in range(7, 160, 30)}
    for number in range(160):
        job = f"{number:03}"
        client.set(f"arq:job:{job}", payload("beside", 0.02 * (number % 8), fatal=job in fatal))
        client.zadd(CALLS, {job: time.time() * 1000})
    services = [Service("worker", "--redis", redis_url, "--functions", TIMELESS, "--call-lease-s", "0.5") for _ in range(3)]
    try:
        for each in services:
            each.start()
        wait_until_sync(lambda: _all_ended(client, services), 200)
    finally:
        for each in services:
            each.kill()
    letters = [fields for _, fields in client.xrange("tailrace:dead")]
    assert {letter[b"job"].decode() for letter in letters} == fatal
    assert len(letters) == len(fatal)
    assert {job: client.llen(f"beside:{job}") for job in fatal} == dict.fromkeys(fatal, 3)
    assert len(client.keys("arq:result:*")) == 160 - len(fatal)


def _all_ended(client: Any, services: list[Service]) -> bool:
    """Start again whoever died, until no call is left."""
    for each in services:
        if each.returncode is not None:
            each.start()
    return not client.exists(CALLS)


async def suspect(seen: Bench, job: str, text: bytes) -> None:
    """Leave a call as two workers do that died running it."""
    await seen.put(job, text, queue=CALLS)
    await seen.queues.set(f"arq:in-progress:{job}", "dead.1 1 1 1")


def queue(seen: Bench, worker: str) -> CallQueue:
    return CallQueue(seen.queues, Keys(), QueueLimits(), worker)


async def ids(calls: CallQueue, number: int, *functions: str, **room: Any) -> tuple[list[bytes], bool]:
    found = await calls.claim(number, Room(10, **room), functions)
    return [each.id for each in found.claims], found.make_room


@pytest.mark.anyio
async def test_one_worker_makes_room_and_an_idle_one_takes_it_meanwhile(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await suspect(seen, "alone", payload("add", 1))
        await seen.put("other", payload("add", 1), queue=CALLS)
        busy, also_busy, idle = [queue(seen, name) for name in ("a.b", "c", "d")]
        assert await ids(busy, 1, "add", idle=False) == ([b"other"], False)
        await seen.put("another", payload("add", 1), queue=CALLS)
        assert await ids(busy, 2, "add", idle=False) == ([], True)
        assert await ids(busy, 3, "add", idle=False) == ([], True)
        assert await ids(also_busy, 1, "add", idle=False) == ([b"another"], False)
        assert await ids(also_busy, 2, "say", idle=False) == ([], False)
        (alone,) = (await idle.claim(1, Room(10), ["add"])).claims
        assert (alone.id, alone.alone, alone.due_ms) == (b"alone", True, 1)
        assert await ids(busy, 4, "add", idle=False) == ([], False)


@pytest.mark.anyio
async def test_room_for_one_function_keeps_nobody_from_making_it_for_another(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await suspect(seen, "one", payload("add", 1))
        await suspect(seen, "another", payload("say", 1))
        adds, says, also_adds = [queue(seen, name) for name in "abc"]
        await says.announce(["add", "say"])
        assert await ids(adds, 1, "add", idle=False) == ([], False)
        assert await ids(adds, 2, "add", idle=False) == ([], True)
        assert await ids(says, 1, "say", idle=False) == ([], True)
        assert await ids(also_adds, 1, "add", idle=False) == ([], False)
        assert await ids(also_adds, 2, "say", "add", idle=False) == ([], False)


@pytest.mark.anyio
async def test_calls_that_run_alone_and_others_come_by_turns(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        for number in range(2):
            await suspect(seen, f"alone{number}", payload("add", 1))
            await seen.put(f"other{number}", payload("add", 1), queue=CALLS)
        calls = queue(seen, "a")
        assert await ids(calls, 1, "add", alone_first=False) == ([b"other0", b"other1"], False)
        assert await ids(calls, 2, "add", alone_first=False) == ([b"alone0"], False)
        assert await ids(calls, 2, "add", alone_first=False) == ([b"alone0"], False)  # its answer was lost
        await seen.put("other2", payload("add", 1), queue=CALLS)
        assert await ids(calls, 3, "add") == ([b"alone1"], False)
        assert await ids(calls, 4, "add") == ([b"other2"], False)


@pytest.mark.anyio
async def test_a_call_that_runs_alone_is_left_to_a_worker_with_its_function(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await suspect(seen, "alone", payload("add", 1))
        calls, other = queue(seen, "a"), queue(seen, "b")
        await calls.announce(["add"])
        assert await ids(other, 1, "say") == ([], False)
        (alone,) = (await calls.claim(1, Room(10), ["add"])).claims
        await calls.settle(1, [(alone, Back())])
        await seen.queues.delete(Keys().functions())  # nobody has it any more: whoever claims it finds that out
        (alone,) = (await other.claim(2, Room(10), ["say"])).claims
        assert alone.deaths == 2  # it was given back, and that is neither a death nor forgotten
        await calls.announce(["add"])
        assert await other.defer(alone, "add", 1000)
        (alone,) = (await calls.claim(2, Room(10), ["add"])).claims
        assert alone.deaths == 2


@pytest.mark.anyio
async def test_calls_that_run_alone_and_others_all_run_on_one_busy_worker(redis_url: str) -> None:
    functions = load([TIMELESS]).functions
    async with bench(redis_url) as seen, working(redis_url, functions, max_calls=4):
        for number in range(40):
            await seen.put(f"before{number}", payload("beside", 0.05), queue=CALLS)
        for number in range(3):
            await suspect(seen, f"alone{number}", payload("beside", 0.05))
        for number in range(20):
            await seen.put(f"after{number}", payload("beside", 0.05), queue=CALLS)
        await wait_until(lambda: seen.queues.exists("arq:result:alone0"))
        assert await seen.queues.exists("arq:result:after19") == 0
        await seen.idle()
        assert {await seen.queues.lindex(f"beside:alone{number}", 0) for number in range(3)} == {b"1"}  # type: ignore[misc]
        assert await seen.queues.exists("tailrace:dead") == 0
