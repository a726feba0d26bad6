"""Calls of functions, by a producer."""

import math

import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.push import JobState, Pusher, PushError
from tailrace.wire import Keys, decode_job
from tests.push.waited import cancelled_while_waited_for

pytestmark = pytest.mark.anyio
KEYS = Keys()


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
    await cancelled_while_waited_for(job, redis)


@pytest.mark.parametrize("function", ["push", "push_many"])
async def test_pushes_are_not_called(function: str, redis_url: str) -> None:
    async with Pusher(redis_url) as pusher:
        with pytest.raises(PushError, match="isn't called"):
            await pusher.call(function, {"to": "a"})
        with pytest.raises(PushError, match="JSON"):
            await pusher.call("f", object())
        for kwargs in ([1], {1: 2}):
            with pytest.raises(PushError) as caught:
                await pusher.call("f", kwargs=kwargs)  # type: ignore[arg-type]
            assert caught.value.path == "$.kwargs"
        for when, path in (({"delay_s": -1}, "$.delay_s"), ({"delay_s": math.inf}, "$.delay_s"), ({"at": "noon"}, "$.at")):
            with pytest.raises(PushError) as caught:
                await pusher.call("f", **when)
            assert caught.value.path == path
        with pytest.raises(PushError, match="1 to 256"):
            await pusher.call("f", job_id="")
        with pytest.raises(PushError, match="printable"):
            await pusher.call("f", job_id="\ud800")
