"""Commits that are sent before those before them are answered: in order and once, whatever fails."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import cast

import pytest

from tailrace.events import EarlyError, LogWriter, NewEvent, whole_entries
from tailrace.queue import Taken
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tailrace.worker._retry import Patience
from tailrace.worker.pushes._batch import Batch
from tailrace.worker.pushes._committer import Sender
from tailrace.worker.pushes._memory import Memory
from tests.support.redis import RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
PARTITION, EPOCH = 0, 1


def _sender(writer: LogWriter, committed: asyncio.Event) -> Sender:
    return Sender(writer, (PARTITION, EPOCH), Memory(1), Patience("Redis"), committed)


def _block(number: int) -> bytes:
    return encode_json_block("message", b"%d" % number)


def _put(sender: Sender, count: int) -> Batch:
    batch = Batch(Taken("1.1", 0, 0, ()), [])
    for number in range(1, count + 1):
        sender.put([NewEvent(f"1.1:{number}", "room:1", _block(number))], batch)
    return batch


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_follows_a_commit_that_failed_comes_after_it(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with connect(redis_server.url) as redis, connect(redis_server.url) as other:
        writer, committed = LogWriter(redis, Keys("tailrace"), 0), asyncio.Event()
        await writer.raise_epoch(PARTITION, EPOCH)
        sender = _sender(writer, committed)
        assert sender.at_once > 1
        batch = _put(sender, 20)
        await other.config_set("maxmemory", 1)  # the first is refused; the others, sent with it, aren't in their turn
        tasks = [asyncio.create_task(sender.send()) for _ in range(sender.at_once)]
        await wait_until(lambda: "maxmemory" in caplog.text)
        await other.config_set("maxmemory", 0)
        await asyncio.wait_for(committed.wait(), 10)
        await _end(tasks)
        entries = whole_entries(await other.xrange(Keys("tailrace").log(0)))
        assert [entry.block for entry in entries] == [_block(number) for number in range(1, 21)]
        assert (batch.unanswered, len(batch.outcomes)) == (0, 20)


async def test_a_shard_that_has_lost_commits_is_not_asked_again(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        writer, committed = LogWriter(redis, Keys("tailrace"), 0), asyncio.Event()
        await writer.raise_epoch(PARTITION, EPOCH)
        sender = _sender(writer, committed)
        tasks = [asyncio.create_task(sender.send()) for _ in range(sender.at_once)]
        _put(sender, 3)
        await asyncio.wait_for(committed.wait(), 10)
        await cast("Awaitable[int]", redis.hset(Keys("tailrace").commits(0, PARTITION), "number", "1"))
        _put(sender, 2)
        ended, others = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in ended] == [EarlyError]
        await _end(others)
