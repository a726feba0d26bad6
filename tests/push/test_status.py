"""Where jobs are, and taking them back, where something is unusual."""

import pytest
from redis.asyncio import Redis

from tailrace.push import Pusher
from tailrace.wire import JobState, Keys, decode_receipt
from tests.support.wait import wait_until

KEYS = Keys()
pytestmark = pytest.mark.anyio


async def test_a_cancelled_jobs_receipt_is_kept_as_long_as_was_said(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis, Pusher(redis_url, receipt_s=7) as pusher:
        job = await pusher.push("room:1", 1, delay_s=30)
        assert await job.cancel() == JobState.CANCELLED
        assert 6000 < await redis.pttl(KEYS.receipt(job.id)) <= 7000


async def test_a_queue_that_was_overwritten_hides_no_other_jobs(any_redis_url: str) -> None:
    async with Redis.from_url(any_redis_url) as redis, Pusher(any_redis_url) as pusher:
        await redis.set(KEYS.calls(), "overwritten")
        job = await pusher.push("room:1", 1, delay_s=30)
        status = await job.status()
        assert status is not None
        assert status.state == JobState.SCHEDULED
        assert await pusher.status("nobody-knows") is None
        assert await pusher.cancel("nobody-knows") is None
        assert await job.cancel() == JobState.CANCELLED


async def test_who_waits_for_a_call_with_keywords_of_its_own_hears_of_its_cancelling(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis, Pusher(redis_url) as pusher, redis.pubsub() as subscription:
        job = await pusher.call("send", {"to": "ann"}, delay_s=30)
        await redis.set(f"arq:job:{job.id}", b'{"f":"send","a":[{}],"k":{"urgent":true,"receipt":"me"},"et":1}')
        await subscription.subscribe(KEYS.receipts("me"))
        assert await job.cancel() == JobState.CANCELLED
        message = await wait_until(lambda: subscription.get_message(ignore_subscribe_messages=True))
        assert decode_receipt(message["data"]).state == JobState.CANCELLED


async def test_a_cancelled_calls_tries_are_forgotten(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis, Pusher(redis_url) as pusher:
        job = await pusher.call("send", {"to": "ann"}, job_id="mail-7", delay_s=30)
        await redis.set("arq:retry:mail-7", 2)  # as after two failures
        assert await job.cancel() == JobState.CANCELLED
        assert await redis.exists("arq:retry:mail-7") == 0
