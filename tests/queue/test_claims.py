"""Claims on calls: who holds one, who has lost it, and answers that are lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from arq.connections import ArqRedis
from arq.jobs import Job, JobStatus

from tailrace.push import Pusher
from tailrace.queue import Again, CallQueue, Claimed, QueueLimits, Room
from tailrace.queue._claims import Ended
from tailrace.wire import JobState, Keys
from tailrace.worker.calls._arq_settings import load
from tests.support.service import Service
from tests.support.trap import Call, Snare, Trap
from tests.support.wait import wait_until
from tests.worker.support import Bench, bench, data_of, payload, working

pytestmark = pytest.mark.anyio
CALLS = "tailrace:calls"
APPLICATION = ("--functions", "tests.worker.application.Timeless")


def queue(seen: Bench, worker: str = "w", lease_ms: int = 10_000) -> CallQueue:
    return CallQueue(seen.queues, Keys(), QueueLimits(lease_ms=lease_ms), worker)


async def claimed(calls: CallQueue, number: int) -> Claimed:
    async def one() -> list[Claimed]:
        return (await calls.claim(number, Room(10), ["add"])).claims

    (claim,) = await wait_until(one)
    return claim


async def test_a_claim_that_is_lost_is_told_from_the_workers_own_new_one(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        first = await claimed(queue(seen, lease_ms=1), 1)
        second = await claimed(queue(seen), 2)
        assert (first.id, first.deaths, second.deaths) == (b"a", 0, 0)
        assert await queue(seen).keep([first, second]) == [False, True]
        assert await queue(seen).settle(1, [(first, Ended()), (second, Ended())]) == [False, True]
        await seen.idle()


async def test_who_takes_a_claim_that_ran_out_counts_a_death_unless_it_was_its_own(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        for worker, deaths in (("one", 0), ("one", 0), ("two", 1), ("two", 1), ("three", 2)):
            assert (await claimed(queue(seen, worker, lease_ms=1), int(time.time() * 1000))).deaths == deaths


async def test_who_was_only_away_takes_its_death_back_once(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        away = await claimed(queue(seen, "away", lease_ms=1), 1)
        second = await claimed(queue(seen, "second", lease_ms=1), 1)
        for _ in range(2):
            assert await queue(seen, "away").keep([away]) == [False]
        third = await claimed(queue(seen, "third"), 1)
        assert [each.deaths for each in (away, second, third)] == [0, 1, 1]
        assert await queue(seen, "away").keep([away]) == [False]  # it isn't the one that was lost last
        assert await queue(seen, "third").settle(1, [(third, Again(0, 1))]) == [True]
        assert await seen.queues.get("arq:retry:a") == b"1 1"


@pytest.mark.parametrize("saying", ["claim again", "settle"])
async def test_who_was_only_away_says_so_with_whatever_it_asks_next(any_redis_url: str, saying: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        away = await claimed(queue(seen, "away", lease_ms=1), 1)
        second = await claimed(queue(seen, "second"), 1)
        if saying == "settle":  # its function failed before it could ask whether the call is still its own
            assert await queue(seen, "away").settle(1, [(away, Again(0, 1))]) == [False]
        else:  # the answer to its claim was lost with its connection
            assert (await queue(seen, "away").claim(1, Room(10), ["add"])).claims == []
        assert await queue(seen, "second").settle(1, [(second, Again(60_000, 1))]) == [True]
        assert await seen.queues.get("arq:retry:a") == b"1"


async def test_what_a_later_version_adds_to_a_claim_is_ignored(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        await seen.queues.set("arq:retry:a", "2 1 later")
        held = await claimed(queue(seen), 1)
        assert (held.tries, held.deaths) == (2, 1)
        await seen.queues.append("arq:in-progress:a", " later 1")
        await seen.queues.append("tailrace:calls:time", " later")
        await seen.queues.zadd(CALLS, {"a": 0})  # as after `Job.abort`
        assert (await queue(seen, "another").claim(1, Room(10), ["add"])).claims == []
        assert await queue(seen).keep([held]) == [True]


async def test_a_claim_that_is_sent_again_holds_from_then_on(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        await seen.put("a", payload("add", 1), queue=CALLS)
        lost = await claimed(queue(seen, lease_ms=1), 1)
        assert await claimed(queue(seen), 1) == lost
        assert (await queue(seen, "another").claim(1, Room(10), ["add"])).claims == []


async def test_a_call_that_was_given_back_after_a_death_can_be_cancelled_and_is_forgotten(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, Pusher(any_redis_url) as pusher:
        await seen.put("a", payload("add", 1), queue=CALLS)
        await claimed(queue(seen, "dead", lease_ms=1), 1)
        second = await claimed(queue(seen), 2)
        assert await pusher.cancel("a") == JobState.QUEUED
        await queue(seen).settle(1, [(second, Again(60_000, 1))])
        status = await pusher.status("a")
        assert status
        assert status.state == JobState.SCHEDULED
        assert await Job("a", cast("ArqRedis", seen.queues), CALLS).status() is JobStatus.deferred
        assert await seen.queues.get("arq:retry:a") == b"1 1"
        assert await pusher.cancel("a") == JobState.CANCELLED
        await seen.put("a", payload("add", 1), queue=CALLS)
        third = await claimed(queue(seen), 3)
        assert (second.deaths, third.deaths, third.tries) == (1, 0, 0)


async def test_an_abort_that_came_too_late_for_one_job_is_none_for_a_later_one_of_its_id(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        for number, (late_s, aborted) in enumerate([(3600, False), (-1, True)], 1):
            enqueued = round(time.time() * 1000)
            await seen.put("a", b'{"f":"add","a":[1],"et":%d}' % enqueued, queue=CALLS)
            await seen.queues.zadd("arq:abort", {"a": enqueued - late_s * 1000})
            found = await queue(seen).claim(number, Room(10, abortable=True), ["add"])
            assert [each.aborted for each in found.claims] == [aborted]
            assert await queue(seen).to_abort(found.claims) == ({b"a"} if aborted else set())
            await queue(seen).settle(number, [(found.claims[0], Ended())])


async def test_a_shelf_has_no_say_about_a_later_call_of_an_id(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, Pusher(any_redis_url) as pusher:
        await seen.put("a", payload("add", 1), queue=CALLS)
        assert await queue(seen).defer(await claimed(queue(seen), 1), "add", 60_000)
        assert await pusher.cancel("a") == JobState.CANCELLED
        await seen.put("a", payload("add", 1), (time.time() + 60) * 1000, queue=CALLS)
        assert (await queue(seen).claim(2, Room(10), ["add"])).claims == []


async def test_a_settlement_that_is_sent_again_does_nothing_more_and_is_answered_as_before(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        calls = queue(seen)
        for number, job in enumerate("ab", 1):
            await seen.put(job, payload("add", 1), queue=CALLS)
            await claimed(calls, number)
        lost = Claimed(b"a", "another.1", 0, 0, 0, aborted=False, payload=None)
        ended = Claimed(b"b", "w.2", 0, 0, 0, aborted=False, payload=None)
        sent = [(lost, Ended()), (ended, Ended(reason="why"))]
        for _ in range(2):
            assert await calls.settle(7, sent) == [False, True]
        assert await calls.settle(6, sent) == [False, True]  # one that was long on its way
        assert len(await seen.dead(1)) == 1
        assert await calls.settle(8, sent) == [False, False]
        assert await seen.queues.zrange(CALLS, 0, -1) == [b"a"]


async def test_calls_whose_queue_was_overwritten_run_later_and_hold_up_nothing(
    any_redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    named = "tailrace:calls is no sorted set"
    async with bench(any_redis_url) as seen:
        await seen.queues.set(CALLS, "overwritten")
        for job in "ab":
            await seen.put(job, payload("say", {"sender": "x", "text": job}))
            await seen.put(f"bad {job}", payload("push"))
            await seen.push(f"push {job}", "room:1")
        async with working(any_redis_url, load(["tests.worker.handlers"]).functions):
            assert await wait_until(lambda: len(set(_messages(caplog, named))) == 2)  # of the line, and of the calls
            await seen.appended(2)
            assert sorted([letter.job for letter in await seen.dead(2)]) == ["bad a", "bad b"]
            await seen.queues.rename(CALLS, "foreign")
            await seen.appended(4)
            assert sorted([data_of(entry)["text"] for entry in await seen.log() if entry.channel == "room:x"]) == ["a", "b"]
            assert len(await seen.dead(2)) == 2


def _messages(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.name for record in caplog.records if text in record.getMessage()]


@asynccontextmanager
async def behind(trap: Trap, url: str, *arguments: str) -> AsyncIterator[Service]:
    """Run a worker behind a trap."""
    async with trap.door(0, int(url.rpartition(":")[2].partition("/")[0])) as door:
        service = Service("worker", "--redis", door, *APPLICATION, *arguments)
        await asyncio.to_thread(service.start)
        try:
            yield service
        finally:
            await asyncio.to_thread(service.__exit__)


async def test_a_call_of_which_a_worker_hears_when_another_has_run_it_emits_nothing_more(redis_url: str) -> None:
    handlers, trap = "tests.worker.handlers", Trap()
    caught = asyncio.Event()
    trap.arm(Snare(lambda call: call.script == "claim", lambda _: caught.set(), after=True))
    async with bench(redis_url) as seen:
        await seen.put("a", payload("grows", {"sender": "x"}), queue=CALLS)
        async with behind(trap, redis_url, "--functions", handlers, "--call-lease-s", "0.5") as late:
            await asyncio.wait_for(caught.wait(), 10)
            async with working(redis_url, load([handlers]).functions, call_lease_s=0.5):
                await seen.idle()
            trap.let_go()
            await wait_until(lambda: "another worker has it" in late.stderr)
        assert await seen.jobs("room:runs") == [1]


async def test_a_call_whose_settlement_isnt_answered_has_ended_all_the_same(redis_url: str) -> None:
    trap = Trap()
    async with bench(redis_url) as seen, behind(trap, redis_url) as service:
        cut: list[Call] = []

        def act(call: Call) -> None:
            cut.append(call)
            trap.cut()

        trap.arm(Snare(lambda call: call.script == "settle", act, after=True))
        await seen.put("a", payload("add", 1), queue=CALLS)
        await wait_until(lambda: seen.queues.exists("arq:result:a"))

        await wait_until(lambda: _after_end(seen))
        assert cut
        assert "another worker has it" not in service.stderr
        assert service.returncode is None


async def _after_end(seen: Bench) -> bool:
    hooks = await cast("Awaitable[list[bytes]]", seen.queues.lrange("hooks:a", 0, -1))
    return b"after 1" in hooks
