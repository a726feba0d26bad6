"""What becomes of pushes: a real worker behind a real server."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis

from tailrace.log import Registry
from tailrace.push import JobState, Push, Pusher, PushError
from tailrace.wire import JOB_PREFIX, ClientEntry, Keys, SetupError, decode_job, decode_receipt
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


@pytest.fixture
async def redis(working_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(working_url) as client:
        yield client


@pytest.fixture
async def pusher(working_url: str) -> AsyncIterator[Pusher]:
    async with Pusher(working_url) as made:
        yield made


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


async def test_many_waiters_share_one_subscription(pusher: Pusher, redis: Redis) -> None:
    jobs = await asyncio.gather(*[pusher.push("room:2", number) for number in range(200)])
    ends = await asyncio.gather(*[job.receipt() for job in jobs])
    assert [end and end.job for end in ends] == [job.id for job in jobs]
    assert len(await redis.pubsub_channels("tailrace:receipts:*")) == 1


async def test_a_receipt_that_came_before_anyone_waited_is_found(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:3", 1)
    await wait_until(lambda: redis.exists(KEYS.receipt(job.id)))
    first = await job.receipt(1)
    assert first == await job.receipt(0)


async def test_without_receipt_none_is_made(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:4", 1, receipt=False)
    await wait_until(lambda: _gone(redis, job.id))
    assert await job.receipt(0) is None
    assert await job.status() is None


async def _gone(redis: Redis, job: str) -> bool:
    return not await redis.exists(f"arq:job:{job}")


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
    waiting = asyncio.create_task(job.receipt())
    await wait_until(lambda: redis.pubsub_channels("tailrace:receipts:*"))
    begin = time.monotonic()
    assert await job.cancel() == JobState.CANCELLED
    end = await waiting
    assert end is not None
    assert end.state == JobState.CANCELLED
    assert time.monotonic() - begin < 2
    assert await _gone(redis, job.id)
    assert await job.cancel() == JobState.CANCELLED
    assert 0 < await redis.ttl(KEYS.receipt(job.id)) <= 3600


async def test_a_job_whose_payload_was_overwritten_can_be_cancelled(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:1", 1, delay_s=60)
    await redis.delete(f"{JOB_PREFIX}{job.id}")
    await redis.hset(f"{JOB_PREFIX}{job.id}", "over", "written")  # type: ignore[misc]
    assert await job.cancel() == JobState.CANCELLED
    assert await redis.zcard(KEYS.queue()) == await redis.exists(f"{JOB_PREFIX}{job.id}") == 0


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


async def test_a_call_goes_to_the_functions_queue_once_per_id(redis_url: str) -> None:
    async with Pusher(redis_url) as pusher, Redis.from_url(redis_url) as redis:
        job = await pusher.call("greet", {"name": "ann"}, job_id="greet-ann")
        again = await pusher.call("greet", {"name": "bob"}, job_id="greet-ann", receipt=False)
        assert (job.new, again.new) == (True, False)
        assert await redis.zrange(KEYS.calls(), 0, -1) == [b"greet-ann"]
        payload = await redis.get("arq:job:greet-ann")
        assert payload is not None
        call = decode_job(payload)
        assert (call.f, bytes(call.a)) == ("greet", b'[{"name":"ann"}]')
        status = await job.status()
        assert status is not None
        assert status.state == JobState.QUEUED
        await redis.set("arq:in-progress:greet-ann", 1)
        assert await job.cancel() == JobState.QUEUED
        await redis.delete("arq:in-progress:greet-ann")
        assert await job.cancel() == JobState.CANCELLED


async def test_a_call_is_answered_by_what_the_function_emits(pusher: Pusher) -> None:
    end = await (await pusher.call("greet", {"name": "ann"})).receipt()
    assert end is not None
    assert (end.state, end.receipts[0].to) == (JobState.APPENDED, "room:greetings")
    assert msgspec.json.decode(end.receipts[0].data)["hello"] == "ann"  # type: ignore[arg-type]
    bad = await (await pusher.call("greet", {"name": 5})).receipt()
    assert bad is not None
    assert (bad.state, bad.receipts[0].path) == (JobState.DEAD, "$.name")


async def test_a_scheduled_call_can_be_cancelled_and_who_waits_hears_of_it(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.call("greet", {"name": "ann"}, delay_s=60)
    status = await job.status()
    assert status is not None
    assert status.state == JobState.SCHEDULED
    waiting = asyncio.create_task(job.receipt())
    await wait_until(lambda: redis.pubsub_channels("tailrace:receipts:*"))
    begin = time.monotonic()
    assert await job.cancel() == JobState.CANCELLED
    end = await waiting
    assert end is not None
    assert end.state == JobState.CANCELLED
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("receipt_s", [0, -1, float("nan")])
async def test_receipts_that_would_not_be_kept_are_refused(receipt_s: float) -> None:
    with pytest.raises(SetupError, match=r"0\.001 s at least"):
        Pusher("redis://127.0.0.1:1/0", receipt_s=receipt_s)


@pytest.mark.parametrize("partitions", [0, -1, 65, 1.5])
async def test_partitions_that_cannot_be_are_refused(partitions: int) -> None:
    with pytest.raises(SetupError, match="1 to 64 partitions"):
        Pusher("redis://127.0.0.1:1/0", partitions=partitions)


@pytest.mark.parametrize("function", ["push", "push_many"])
async def test_pushes_are_not_called(function: str, redis_url: str) -> None:
    async with Pusher(redis_url) as pusher:
        with pytest.raises(PushError, match="isn't called"):
            await pusher.call(function, {"to": "a"})
        with pytest.raises(PushError, match="JSON"):
            await pusher.call("f", object())
        for when, path in (({"delay_s": -1}, "$.delay_s"), ({"delay_s": math.inf}, "$.delay_s"), ({"at": "noon"}, "$.at")):
            with pytest.raises(PushError) as caught:
                await pusher.call("f", **when)
            assert caught.value.path == path
        with pytest.raises(PushError, match="1 to 256"):
            await pusher.call("f", job_id="")
        with pytest.raises(PushError, match="printable"):
            await pusher.call("f", job_id="\ud800")


async def test_receipts_outlive_a_subscription_that_breaks(pusher: Pusher, redis: Redis) -> None:
    await (await pusher.push("room:11", 1)).receipt()
    job = await pusher.push("room:11", 2, delay_s=0.5)
    waiting = asyncio.create_task(job.receipt())
    await checkpoint()
    await redis.client_kill_filter(_type="pubsub")
    end = await waiting
    assert end is not None
    assert end.state == JobState.APPENDED


async def test_a_receipt_made_while_nobody_was_subscribed_is_found(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:12", 1, delay_s=60)
    waiting = asyncio.create_task(job.receipt())
    await wait_until(lambda: redis.pubsub_channels("tailrace:receipts:*"))
    await redis.set(KEYS.receipt(job.id), b'{"job":"%b","state":"appended"}' % job.id.encode(), ex=60)  # and no message
    await redis.client_kill_filter(_type="pubsub")
    assert await waiting is not None


async def test_what_is_no_receipt_is_passed_over(pusher: Pusher, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    job = await pusher.push("room:12", 1, delay_s=0.3)
    waiting = asyncio.create_task(job.receipt())
    channel = KEYS.receipts(pusher._listener)
    await wait_until(lambda: redis.pubsub_channels(channel))
    await redis.publish(channel, b"nonsense")
    await redis.publish(channel, b'{"job":"another","state":"appended"}')
    assert await waiting is not None
    assert "can't be read" in caplog.text


async def test_who_waits_can_be_let_go(pusher: Pusher) -> None:
    job = await pusher.push("room:13", 1, delay_s=60)
    waiting = asyncio.create_task(job.receipt(30))
    await checkpoint()
    pusher.release()
    assert await waiting is None
    assert await job.receipt(30) is None


async def test_a_dead_job_tells_who_asked(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:14", 1, delay_s=0.3)
    payload = await redis.get(f"arq:job:{job.id}")
    assert payload is not None
    await redis.set(f"arq:job:{job.id}", payload.replace(b"room:14", b"room 14"), keepttl=True)
    end = await job.receipt()
    assert end is not None
    assert (end.state, end.receipts[0].path) == (JobState.DEAD, "$.to")


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


async def test_a_receipt_is_what_the_wire_says(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:15", 1)
    end = await job.receipt()
    text = await redis.get(KEYS.receipt(job.id))
    assert text is not None
    assert decode_receipt(text) == end
