"""What tests of scheduled pushes and calls share."""

import asyncio
import time

from redis.asyncio import Redis

from tailrace.push import Job, JobState
from tests.support.wait import wait_until


async def cancelled_while_waited_for(job: Job, redis: Redis) -> None:
    """Cancel a job that somebody waits for, and see that it ends as cancelled, and that who waits hears of it at once."""
    waiting = asyncio.create_task(job.receipt())
    await wait_until(lambda: redis.pubsub_channels("tailrace:receipts:*"))
    begin = time.monotonic()
    assert await job.cancel() == JobState.CANCELLED
    end = await waiting
    assert end is not None
    assert end.state == JobState.CANCELLED
    assert time.monotonic() - begin < 2
