"""Receipts: who waits for one gets it, whatever becomes of subscriptions."""

import asyncio
import json

import pytest
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis

from tailrace.push import JobState, Pusher
from tailrace.wire import JobReceipt, Keys, SetupError, decode_job, decode_receipt, encode_receipt
from tests.push.conftest import ROOT
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


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


@pytest.mark.parametrize("receipt_s", [0, -1, float("nan")])
async def test_receipts_that_would_not_be_kept_are_refused(receipt_s: float) -> None:
    with pytest.raises(SetupError, match=r"0\.001 s at least"):
        Pusher("redis://127.0.0.1:1/0", receipt_s=receipt_s)


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


async def test_a_receipt_is_what_the_wire_says(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.push("room:15", 1)
    end = await job.receipt()
    text = await redis.get(KEYS.receipt(job.id))
    assert text is not None
    assert decode_receipt(text) == end


@pytest.mark.parametrize("prefix", ["tailrace", "shop"])
async def test_a_job_id_that_is_used_again_has_a_receipt_of_its_own(redis_url: str, prefix: str) -> None:
    functions = "tests.push.functions"
    with Service("worker", "--redis", redis_url, "--prefix", prefix, "--functions", functions, environ={"PYTHONPATH": str(ROOT)}):
        async with Pusher(redis_url, prefix=prefix) as pusher:
            for argument, state in (({"name": 5}, JobState.DEAD), ({"name": "ann"}, JobState.APPENDED), ({"name": 5}, JobState.DEAD)):
                job = await pusher.call("greet", argument, job_id="nightly", delay_s=0.2)
                assert job.new
                end = await job.receipt()
                assert end is not None
                assert end.state == state


async def test_a_job_without_a_receipt_leaves_none_of_an_earlier_job(pusher: Pusher, redis: Redis) -> None:
    await (await pusher.call("greet", {"name": 5}, job_id="again")).receipt()
    assert await redis.exists("arq:result:again")
    job = await pusher.call("greet", {"name": "ann"}, job_id="again", receipt=False, delay_s=0.2)
    assert not await redis.exists("arq:result:again")
    await wait_until(lambda: _gone(redis, "again"))
    assert await job.status() is None


async def test_a_raw_call_without_a_receipt_leaves_none_of_an_earlier_job(pusher: Pusher, redis: Redis) -> None:
    await (await pusher.call("greet", {"name": 5}, job_id="raw")).receipt()
    await redis.set("arq:job:raw", json.dumps({"t": None, "f": "greet", "a": [{"name": "ann"}], "k": {}, "et": 0}))
    await redis.zadd(KEYS.calls(), {"raw": 1})
    await wait_until(lambda: _gone(redis, "raw"))
    assert await pusher.status("raw") is None


async def test_a_late_announcement_of_an_earlier_job_is_not_taken(pusher: Pusher, redis: Redis) -> None:
    job = await pusher.call("greet", {"name": "ann"}, job_id="late", delay_s=1)
    payload = await redis.get("arq:job:late")
    assert payload is not None
    listener = str(decode_job(payload).receipt)
    waiting = asyncio.create_task(job.receipt())
    await wait_until(lambda: redis.pubsub_channels(KEYS.receipts(listener)))
    assert await redis.publish(KEYS.receipts(listener), encode_receipt(JobReceipt("late", JobState.DEAD))) == 1
    end = await waiting
    assert end is not None
    assert end.state == JobState.APPENDED
