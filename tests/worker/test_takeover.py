"""Taking over: what a holder that died, was paused or was cut off has left, ends whole, once and in order."""

from functools import partial
from typing import Any

import pytest

from tailrace.events import LogWriter, NewEvent, RefusedError, read_outcome
from tailrace.queue import Queue, QueueLimits, Taken
from tailrace.wire import JobState, bucket, format_id
from tests.support.wait import wait_until
from tests.worker.support import Bench, bench, data_of, payload, working

pytestmark = pytest.mark.anyio


async def hold(seen: Bench, shards: int = 1) -> tuple[int, list[LogWriter], Taken]:
    """Take what is queued, the way a holder does that will die."""
    queue = Queue(seen.queues, seen.keys, 0, QueueLimits())
    grant = await queue.acquire("the late")
    assert grant
    writers = [LogWriter(seen.logs, seen.keys, shard) for shard in range(shards)]
    for writer in writers:
        await writer.raise_epoch(0, grant.epoch)
    taken, _ = await queue.take(grant.epoch, [])
    assert taken
    await seen.queues.delete(seen.keys.lease())
    return grant.epoch, writers, taken


def event(job: Any, ticket: str, channel: str, index: int = 0) -> NewEvent:
    return NewEvent(f"{ticket}:{index}", channel, b'event: message\ndata: {"job":%d}\n\n' % job)


async def test_what_was_appended_is_not_appended_again(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen:
        for job in range(4):
            await seen.push(str(job), "room:1", {"job": job}, receipt="")
        epoch, (writer,), taken = await hold(seen)
        events = [event(job, taken.jobs[job].ticket, "room:1") for job in range(2)]
        appended = await writer.commit(0, epoch, 1, [], events)
        async with working(any_redis_url):
            receipts = [await seen.receipt(str(job)) for job in range(4)]
            assert await seen.jobs("room:1") == [0, 1, 2, 3]
            log = await seen.log()
            assert [receipt.receipts[0].id for receipt in receipts] == [format_id(entry.id) for entry in log]
            assert [entry.id for entry in log[:2]] == [each.id for each in read_outcome(appended)]
            await seen.push("more", "room:1", {"job": 4})
            await seen.appended(5)
            await wait_until(partial(_remembers_nothing, seen))


async def test_an_epoch_that_a_queue_gives_out_twice_loses_nothing(any_redis_url: str) -> None:
    """A queue that has lost acknowledged writes does that; the logs, on another Redis, have lost none."""
    async with bench(any_redis_url) as seen:
        grant = await Queue(seen.queues, seen.keys, 0, QueueLimits()).acquire("the late")
        assert grant
        writer = LogWriter(seen.logs, seen.keys, 0)
        await writer.raise_epoch(0, grant.epoch, "the late")
        for number in range(1, 4):
            await writer.commit(0, grant.epoch, number, [], [event(number, f"{grant.epoch}.{number}", "room:late")])
        await seen.queues.hset(seen.keys.line(0), "epoch", str(grant.epoch - 1))  # type: ignore[misc]
        await seen.queues.delete(seen.keys.lease())
        async with working(any_redis_url):
            for job in range(3):
                await seen.push(str(job), "room:1", {"job": job})
                await seen.idle()
            assert await seen.jobs("room:1") == [0, 1, 2]


async def _remembers_nothing(seen: Bench) -> bool:
    return set(await seen.logs.hkeys(seen.keys.commits(0, 0))) == {b"epoch", b"number", b"holder"}  # type: ignore[misc]


async def test_a_push_many_cut_in_its_middle_ends_whole(redis_url: str) -> None:
    async with bench(redis_url, shards=3) as seen:
        pushes = [{"to": f"room:{number % 10}", "data": {"job": number}} for number in range(300)]
        await seen.put("many", payload("push_many", pushes, receipt=""))
        epoch, writers, taken = await hold(seen, 3)
        ticket = taken.jobs[0].ticket
        first = [event(n, ticket, f"room:{n % 10}", n) for n in range(200) if bucket(f"room:{n % 10}", 3) == 1][:50]
        await writers[1].commit(0, epoch, 1, [], first)
        async with working(redis_url, shards=3):
            receipt = await seen.receipt("many")
        assert (receipt.state, len(receipt.receipts)) == (JobState.APPENDED, 300)
        for channel in range(10):
            assert await seen.jobs(f"room:{channel}") == list(range(channel, 300, 10))


async def test_a_begun_job_is_not_judged_again(redis_url: str) -> None:
    async with bench(redis_url, shards=2) as seen:
        pushes = [{"to": f"room:{n}", "data": {"job": n}, "expires_s": 0.001} for n in range(8)]
        await seen.put("many", payload("push_many", pushes, receipt=""))
        epoch, writers, taken = await hold(seen, 2)
        begun = [event(n, taken.jobs[0].ticket, f"room:{n}", n) for n in range(8) if bucket(f"room:{n}", 2) == 1]
        await writers[1].commit(0, epoch, 1, [], begun)
        async with working(redis_url, shards=2):
            receipt = await seen.receipt("many")
        assert receipt.state is JobState.APPENDED
        assert {made.status for made in receipt.receipts} == {"success"}
        assert len(await seen.all_logs()) == 8


async def test_what_was_left_out_stays_out(redis_url: str) -> None:
    """Else it would come after later pushes of its channel."""
    async with bench(redis_url) as seen:
        pushes = [{"to": "client:gone", "data": 0}, {"to": "room:1", "data": {"job": 1}}, {"to": "room:1", "data": {"job": 2}}]
        await seen.put("many", payload("push_many", pushes, receipt=""))
        two = [{"to": "room:1", "data": {"job": 3}, "expires_s": 60}, {"to": "room:2", "data": {"job": 4}}]
        await seen.put("other", payload("push_many", two, receipt=""))
        await seen.push("last", "room:1", {"job": 5})
        epoch, (writer,), taken = await hold(seen)
        many, other, last = [job.ticket for job in taken.jobs]
        events = [event(1, many, "room:1", 1), event(4, other, "room:2", 1), event(5, last, "room:1")]
        await writer.commit(0, epoch, 1, [], events)
        async with working(redis_url):
            receipts = [(await seen.receipt(job)).receipts for job in ("many", "other")]
        statuses = [[made.status for made in each] for each in receipts]
        assert statuses == [["error", "success", "error"], ["info", "success"]]
        assert [data_of(entry)["job"] for entry in await seen.log()] == [1, 4, 5]


async def test_the_former_holder_can_append_nothing_more(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        await seen.push("0", "room:1", {"job": 0})
        epoch, (writer,), taken = await hold(seen)
        async with working(redis_url):
            await seen.appended(1)
            with pytest.raises(RefusedError):
                await writer.commit(0, epoch, 1, [], [event(0, taken.jobs[0].ticket, "room:1")])


async def test_three_deaths_make_a_dead_letter_and_hold_up_nothing_else(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        for job in "abc":
            await seen.push(job, "room:1")
        for _ in range(3):
            await hold(seen)
        async with working(redis_url):
            assert [letter.job for letter in await seen.dead(1)] == ["a"]
            assert "died" in (await seen.dead(1))[0].reason
            await seen.appended(2)
            assert await seen.jobs("room:1") == ["b", "c"]


async def test_many_left_jobs_are_through_quickly(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        for job in range(128):
            await seen.push(str(job), "room:1", {"job": job})
        await hold(seen)
        async with working(redis_url):
            await seen.appended(128, timeout_s=3)
        assert await seen.jobs("room:1") == list(range(128))


async def test_logs_that_have_seen_a_later_epoch(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        await LogWriter(seen.logs, seen.keys, 0).raise_epoch(0, 40)
        await seen.push("a", "room:1")
        async with working(redis_url):
            await seen.appended(1)
            assert await seen.queues.hget(seen.keys.line(), "epoch") == b"41"  # type: ignore[misc]


async def test_logs_that_lost_their_state(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("a", "room:1")
        await seen.appended(1)
        await seen.idle()
        await seen.logs.delete(seen.keys.commits(0, 0), seen.keys.log(0))
        await seen.push("b", "room:1")
        await seen.appended(1)
        assert await seen.jobs("room:1") == ["b"]


async def test_logs_that_lost_their_last_commits(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        for job in range(3):
            await seen.push(str(job), "room:1", {"job": job})
            await seen.appended(job + 1)
        await seen.idle()
        await seen.logs.hset(seen.keys.commits(0, 0), "number", "1")  # type: ignore[misc]
        await seen.push("3", "room:1", {"job": 3})
        await seen.appended(4)
        assert await seen.jobs("room:1") == [0, 1, 2, 3]


async def test_a_redis_that_was_emptied(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("a", "room:1")
        await seen.appended(1)
        await seen.queues.flushall()
        await seen.push("b", "room:1")
        await seen.appended(1)
        assert await seen.jobs("room:1") == ["b"]
