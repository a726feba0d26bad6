"""What becomes of pushes: a real worker behind a real server."""

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.events import Registry
from tailrace.push import JobState, Push, Pusher, PushError
from tailrace.wire import JOB_PREFIX, ClientEntry, Keys, SetupError
from tests.push.waited import cancelled_while_waited_for
from tests.support.redis import RedisServer
from tests.support.service import Service

pytestmark = pytest.mark.anyio
KEYS = Keys()


async def test_a_push_is_appended_and_its_receipt_says_so(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:1", {"text": "hi"}, event="greeting")
    end = await job.receipt()
    assert end is not None
    assert end.state == JobState.APPENDED
    (receipt,) = end.receipts
    assert (receipt.status, receipt.to, receipt.event, receipt.recipients) == ("success", "room:1", "greeting", 0)
    (entry,) = await redis.xrange(KEYS.log(0), str(receipt.id), str(receipt.id))
    assert b'"text":"hi"' in b"".join(entry[1].values())


async def test_recipients_are_counted(pusher: Pusher, redis: Redis) -> None:
    entry = ClientEntry(since=0, channels=["room:counted"])
    await Registry(redis, KEYS).register("e1", {"c1": entry}, {"room:counted": 1}, whole=True)
    end = await (await pusher.push("room:counted", 1)).receipt()
    assert end is not None
    assert end.receipts[0].recipients == 1


async def test_push_many_answers_in_order(pusher: Pusher) -> None:
    batch = await pusher.push_many([Push(to="room:5", data=number) for number in range(300)])
    receipts = await batch.receipts()
    assert receipts is not None
    assert [msgspec.json.encode(receipt.data) for receipt in receipts] == [str(number).encode() for number in range(300)]
    ids = [tuple(map(int, str(receipt.id).split("-"))) for receipt in receipts]
    assert ids == sorted(set(ids))


async def test_push_many_of_nothing_is_nothing(pusher: Pusher) -> None:
    batch = await pusher.push_many([])
    assert batch.jobs == []
    assert await batch.receipts() == []


async def test_one_bad_push_and_nothing_is_sent(pusher: Pusher, redis: Redis) -> None:
    before = await redis.xlen(KEYS.log(0))
    with pytest.raises(PushError, match=r"\$\[1\]\.event"):
        await pusher.push_many([Push(to="room:6", data=1), Push(to="room:6", data=1, event="gap")])
    await (await pusher.push("room:6", 2)).receipt()
    assert await redis.xlen(KEYS.log(0)) == before + 1


async def test_a_key_is_appended_once(pusher: Pusher) -> None:
    ends = [await (await pusher.push("room:7", 1, key="order-1")).receipt() for _ in range(2)]
    first, second = [end.receipts[0] for end in ends if end]
    assert second.duplicate
    assert not first.duplicate
    assert first.id == second.id


async def test_scheduled_pushes_wait_for_their_time(pusher: Pusher) -> None:
    begin = time.monotonic()
    soon = await pusher.push("room:8", 1, delay_s=0.4)
    at = await pusher.push("room:8", 2, at=datetime.now(UTC) + timedelta(seconds=0.5))
    status = await soon.status()
    assert status is not None
    assert status.state == JobState.SCHEDULED
    assert await soon.receipt(0.1) is None
    assert await soon.receipt() is not None
    assert time.monotonic() - begin >= 0.4
    assert await at.receipt() is not None
    assert time.monotonic() - begin >= 0.49


async def test_a_scheduled_push_can_be_cancelled_and_who_waits_hears_of_it(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:9", 1, delay_s=30)
    await cancelled_while_waited_for(job, redis)
    assert not await redis.exists(f"arq:job:{job.id}")
    assert await job.cancel() == JobState.CANCELLED
    assert 0 < await redis.ttl(KEYS.receipt(job.id)) <= 3600


async def test_a_job_whose_payload_was_overwritten_can_be_cancelled(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:1", 1, delay_s=60)
    await redis.delete(f"{JOB_PREFIX}{job.id}")
    await redis.hset(f"{JOB_PREFIX}{job.id}", "over", "written")  # type: ignore[misc]
    assert await job.cancel() == JobState.CANCELLED
    assert await redis.zscore(KEYS.queue(), job.id) is None
    assert await redis.exists(f"{JOB_PREFIX}{job.id}") == 0


async def test_what_has_ended_or_never_was_cannot_be_cancelled(pusher: Pusher) -> None:
    job = await pusher.push("room:10", 1)
    await job.receipt()
    assert await job.cancel() == JobState.APPENDED
    assert await pusher.cancel("nobody-knows") is None
    assert await pusher.status("nobody-knows") is None


async def test_a_job_in_a_workers_hand_is_queued_and_cannot_be_cancelled(pusher: Pusher, redis: Redis) -> None:
    await redis.set("arq:job:in-hand", b"{}", px=60_000)  # as a take leaves it: out of the queue, its payload there
    status = await pusher.status("in-hand")
    assert status is not None
    assert status.state == JobState.QUEUED
    assert await pusher.cancel("in-hand") == JobState.QUEUED
    assert await redis.exists("arq:job:in-hand")


@pytest.mark.parametrize("partitions", [0, -1, 65, 1.5])
async def test_partitions_that_cannot_be_are_refused(partitions: int) -> None:
    with pytest.raises(SetupError, match="1 to 64 partitions"):
        Pusher("redis://127.0.0.1:1/0", partitions=partitions)


async def test_order_is_kept_over_producers_tasks_and_a_worker_that_dies(redis_server: RedisServer) -> None:
    with Service("worker", "--redis", redis_server.url) as worker, Service("worker", "--redis", redis_server.url):
        async with Pusher(redis_server.url) as pusher, Redis.from_url(redis_server.url) as redis:
            for number in range(400):
                await pusher.push("room:1", number)
                if number == 200:
                    worker.kill()
            assert await (await pusher.push("room:1", 400)).receipt(15) is not None
            entries = await redis.xrange(KEYS.log(0))
    numbers = [int(part.split(b"data: ")[1]) for _, fields in entries for part in fields.values() if b"data: " in part]
    assert numbers == list(range(401))
