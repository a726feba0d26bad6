"""The queue's scripts, driven directly: what is given out, to whom, and how it ends."""

import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from tailrace.queue import DeposedError, Ending, Taken
from tailrace.queue._partition import EndedBatch
from tests.queue.queues import PUSH, epoch_of, ids, lapse, queue, take
from tests.support.wait import wait_until
from tests.worker.support import Bench, bench

pytestmark = pytest.mark.anyio


@pytest.fixture
async def seen(any_redis_url: str) -> AsyncIterator[Bench]:
    async with bench(any_redis_url) as made:
        yield made


async def test_one_holder_at_a_time(seen: Bench) -> None:
    line = queue(seen, lease_ms=60_000)
    assert await epoch_of(line, "a") == 1
    assert await line.acquire("b") is None
    assert await epoch_of(line, "a") == 1  # the answer to the first may have been lost
    await line.release(1)
    assert await epoch_of(line, "b") == 3


async def test_a_lease_runs_out_unless_it_is_renewed(seen: Bench) -> None:
    line = queue(seen, lease_ms=100)
    await epoch_of(line, "a")
    await line.renew(1, "a")
    grant = await wait_until(lambda: line.acquire("b"))
    assert grant
    assert grant.epoch == 2
    with pytest.raises(DeposedError):
        await line.renew(1, "a")


async def test_an_epoch_can_be_lifted(seen: Bench) -> None:
    grant = await queue(seen).acquire("a", 41)
    assert grant
    assert grant.epoch == 41


async def test_what_a_later_version_adds_to_a_batch_or_a_line_is_ignored(seen: Bench) -> None:
    line, keys = queue(seen), seen.keys
    await seen.put("a", PUSH)
    given = await take(line, await epoch_of(line, "old"))
    held = await seen.queues.hget(keys.hand(), given.field)  # type: ignore[misc]
    head, packed = held[:4], msgspec.msgpack.decode(held[4:])
    await seen.queues.hset(keys.hand(), given.field, head + msgspec.msgpack.encode([*packed, {"later": 1}]))  # type: ignore[misc]
    await seen.queues.hset(keys.line(), "later", "1")  # type: ignore[misc]
    await lapse(seen)
    again = await take(line, await epoch_of(line, "new"))
    assert (again.deaths, ids(again)) == (1, ids(given))
    await line.finish(2, [EndedBatch(again.field, whole=True, endings=[])])
    await seen.idle()


async def test_whoever_is_deposed_can_do_nothing(seen: Bench) -> None:
    line = queue(seen)
    await seen.put("a", PUSH)
    await take(line, await epoch_of(line, "old"))
    await lapse(seen)
    await epoch_of(line, "new")
    with pytest.raises(DeposedError):
        await line.take(1, [])
    with pytest.raises(DeposedError):
        await line.finish(1, [EndedBatch("1.1", whole=True, endings=[])])
    await line.release(1)
    assert await seen.queues.get(seen.keys.lease()) == b"new"


async def test_due_jobs_are_given_out_in_order_of_score_and_id(seen: Bench) -> None:
    line = queue(seen, jobs=3)
    for job, due in (("c", 5), ("b", 5), ("a", 6), ("d", 7)):
        await seen.put(job, PUSH, due)
    await seen.put("later", PUSH, time.time() * 1000 + 60_000)
    epoch = await epoch_of(line)
    first = await take(line, epoch)
    second = await take(line, epoch, first.field)
    assert ids(first) + ids(second) == [b"b", b"c", b"a", b"d"]
    assert [job.ticket for job in first.jobs + second.jobs] == ["1.1", "1.2", "1.3", "1.4"]
    assert (first.jobs[0].due_ms, first.jobs[0].payload, first.deaths) == (5, PUSH, 0)
    nothing, idle_s = await line.take(epoch, [first.field, second.field])
    assert nothing is None
    assert idle_s is not None
    assert 59 < idle_s < 60


async def test_a_batch_has_a_bounded_size(seen: Bench) -> None:
    line = queue(seen, bytes=len(PUSH) * 2)
    for job in "abcde":
        await seen.put(job, PUSH)
    await seen.put("large", PUSH + b" " * 1000)
    await seen.put("z", PUSH)
    epoch = await epoch_of(line)
    batches: list[Taken] = []
    for _ in range(5):
        batches.append(await take(line, epoch, *[batch.field for batch in batches]))
    assert [b"".join(ids(batch)) for batch in batches] == [b"ab", b"cd", b"e", b"large", b"z"]


async def test_a_lost_answer_loses_nothing(seen: Bench) -> None:
    line = queue(seen, jobs=2)
    for job in "abcd":
        await seen.put(job, PUSH)
    epoch = await epoch_of(line)
    lost = await take(line, epoch)
    again = await take(line, epoch)
    assert again[0] == lost[0]
    assert again.jobs == lost.jobs
    assert ids(await take(line, epoch, again.field)) == [b"c", b"d"]


async def test_finishing_ends_jobs_once(seen: Bench) -> None:
    line = queue(seen)
    for job in "ab":
        await seen.put(job, PUSH)
    epoch = await epoch_of(line)
    taken = await take(line, epoch)
    done = [EndedBatch(taken.field, whole=True, endings=[Ending(2, b'"receipt"')])]
    await line.finish(epoch, done)
    assert await seen.queues.get("tailrace:receipt:b") == b'"receipt"'
    await seen.queues.delete("tailrace:receipt:b")
    await line.finish(epoch, done)  # sent again, for its answer was lost
    assert await seen.queues.keys("*receipt*") == []
    assert await seen.queues.exists("arq:job:a", "arq:job:b", seen.keys.hand(), seen.keys.queue()) == 0


async def test_losers_leave_first(seen: Bench) -> None:
    line = queue(seen)
    for job in "abc":
        await seen.put(job, PUSH)
    epoch = await epoch_of(line)
    taken = await take(line, epoch)
    losers = [Ending(1, reason="bad", path="$.x"), Ending(3, moved=True)]
    for _ in range(2):
        await line.finish(epoch, [EndedBatch(taken.field, whole=False, endings=losers)])
    assert [(letter.job, letter.reason, letter.path, letter.payload) for letter in await seen.dead(1)] == [("a", "bad", "$.x", PUSH)]
    assert await seen.queues.zrange(seen.keys.calls(), 0, -1) == [b"c"]
    assert await seen.queues.mget("arq:job:a", "arq:job:b", "arq:job:c") == [None, PUSH, PUSH]
    assert ids(await take(line, epoch)) == [b"b"]
    await line.finish(epoch, [EndedBatch(taken.field, whole=True, endings=[])])
    assert await seen.queues.exists(seen.keys.hand(), "arq:job:b") == 0


async def test_an_id_that_came_again_keeps_its_payload(seen: Bench) -> None:
    line = queue(seen)
    await seen.put("a", PUSH)
    epoch = await epoch_of(line)
    taken = await take(line, epoch)
    await seen.put("a", PUSH + b" ")
    await line.finish(epoch, [EndedBatch(taken.field, whole=True, endings=[])])
    assert [job.payload for job in (await take(line, epoch)).jobs] == [PUSH + b" "]


async def test_what_a_dead_holder_left_is_given_out_first_and_alone(seen: Bench) -> None:
    line = queue(seen, jobs=2)
    for job in "abc":
        await seen.put(job, PUSH)
    await take(line, await epoch_of(line, "one"))
    await lapse(seen)
    grant = await line.acquire("two")
    assert grant
    assert grant.left == {"1.1", "1.2"}
    await seen.put("0", PUSH, 0)
    first = await take(line, grant.epoch)
    assert (ids(first), first.deaths, first.jobs[0].ticket) == ([b"a"], 1, "1.1")
    assert await line.take(grant.epoch, [first.field]) == (None, None)
    await line.finish(grant.epoch, [EndedBatch(first.field, whole=True, endings=[])])
    second = await take(line, grant.epoch)
    assert (ids(second), second.deaths, second.jobs[0].ticket) == ([b"b"], 1, "1.2")
    await line.finish(grant.epoch, [EndedBatch(second.field, whole=True, endings=[])])
    assert ids(await take(line, grant.epoch)) == [b"0", b"c"]


async def test_giving_up_is_no_death(seen: Bench) -> None:
    line = queue(seen)
    for job in "ab":
        await seen.put(job, PUSH)
    epoch = await epoch_of(line, "one")
    await take(line, epoch)
    await line.release(epoch)
    taken = await take(line, await epoch_of(line, "two"))
    assert (ids(taken), taken.deaths) == ([b"a", b"b"], 0)


async def test_a_death_counts_once_and_for_what_was_in_hand(seen: Bench) -> None:
    line = queue(seen, jobs=1)
    for job in "ab":
        await seen.put(job, PUSH)
    epoch = await epoch_of(line, "one")
    first = await take(line, epoch)
    await take(line, epoch, first.field)
    await lapse(seen)
    epoch = await epoch_of(line, "two")
    await take(line, epoch)  # of the two in hand this holder takes one, and dies
    await lapse(seen)
    epoch = await epoch_of(line, "three")
    first = await take(line, epoch)
    await line.finish(epoch, [EndedBatch(first.field, whole=True, endings=[])])
    second = await take(line, epoch)
    assert (first.deaths, second.deaths) == (2, 1)


async def test_dead_letters_are_bounded(seen: Bench) -> None:
    line = queue(seen, dead_bytes=100_000)
    for number in range(20):
        await seen.put(str(number), b"x" * 20_000)
    epoch = await epoch_of(line)
    while (taken := (await line.take(epoch, []))[0]) is not None:
        await line.finish(epoch, [EndedBatch(taken.field, whole=True, endings=[Ending(job.position, reason="bad") for job in taken.jobs])])
    letters = await seen.dead(1)
    assert 1 <= len(letters) <= 5
    assert letters[-1].job == "19"
