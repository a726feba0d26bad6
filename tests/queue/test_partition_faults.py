"""The queue's scripts where something is wrong: memory, keys of another type, missing rights, a Redis that has lost what it had."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import RedisError

from tailrace.queue import Ending, Queue
from tailrace.queue._partition import EndedBatch
from tests.queue.queues import PUSH, epoch_of, ids, lapse, queue, take
from tests.support.redis import Kind, RedisServer
from tests.worker.support import Bench, bench, client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def seen(any_redis_url: str) -> AsyncIterator[Bench]:
    async with bench(any_redis_url) as made:
        yield made


async def test_all_works_while_redis_is_out_of_memory(seen: Bench) -> None:
    line = queue(seen)
    for job in "ab":
        await seen.put(job, PUSH)
    await seen.queues.config_set("maxmemory", 1)
    try:
        epoch = await epoch_of(line)
        taken = await take(line, epoch)
        await line.finish(epoch, [EndedBatch(taken.field, whole=True, endings=[Ending(1, b"receipt", reason="bad")])])
        await line.release(epoch)
    finally:
        await seen.queues.config_set("maxmemory", 0)
    assert await seen.queues.exists(seen.keys.hand(), "arq:job:a") == 0
    assert len(await seen.dead(1)) == 1


async def test_a_payload_of_another_type_is_lost_also_where_it_turns_so_in_hand(seen: Bench) -> None:
    line = queue(seen)
    await seen.put("a", PUSH)
    await take(line, await epoch_of(line, "old"))
    await lapse(seen)
    await seen.queues.delete("arq:job:a")
    await seen.queues.zadd("arq:job:a", {"x": 1})
    epoch = await epoch_of(line, "new")
    taken = await take(line, epoch)
    assert [job.payload for job in taken.jobs] == [None]
    await line.finish(epoch, [EndedBatch(taken.field, whole=True, endings=[Ending(1, reason="lost")])])
    assert [letter.job for letter in await seen.dead(1)] == ["a"]
    assert await seen.queues.exists("arq:job:a") == 0


@pytest.mark.parametrize(
    "rights",
    [
        pytest.param({"keys": ["tailrace:*"]}, id="a payload"),
        pytest.param({"keys": ["*"], "commands": ["-info"]}, id="Redis itself"),
    ],
)
async def test_what_may_not_be_read_costs_no_job(seen: Bench, rights: dict[str, Any]) -> None:
    await seen.put("a", PUSH)
    epoch = await epoch_of(queue(seen))
    await seen.queues.acl_setuser("weak", enabled=True, nopass=True, categories=["+@all"], **rights)
    try:
        async with client(seen.url.replace("://", "://weak:any@")) as other:
            with pytest.raises(RedisError, match=r"permission|can't (access|run)"):
                await Queue(other, seen.keys).take(epoch, [])
    finally:
        await seen.queues.acl_deluser("weak")
    assert ids(await take(queue(seen), epoch)) == [b"a"]


async def test_tickets_never_come_again_where_redis_has_lost_all_of_them() -> None:
    with RedisServer("valkey") as server:
        async with bench(server.url) as before:
            epoch = await epoch_of(queue(before, lease_ms=60_000))
            await before.queues.save()
            await before.put("x", PUSH)
            first = await take(queue(before), epoch)
        server.kill()
        server.start()
        async with bench(server.url) as seen:
            await seen.put("y", PUSH)
            assert (await take(queue(seen), epoch)).field != first.field


@pytest.mark.parametrize("kind", ["valkey", "redis"])
async def test_tickets_never_come_again(kind: Kind) -> None:
    """Not even where Redis has lost what it had acknowledged: the holder would end other jobs than it means."""
    with RedisServer(kind) as server:
        async with bench(server.url) as before:
            line = queue(before, lease_ms=60_000)
            epoch = await epoch_of(line)
            await before.put("ended", PUSH)
            await line.finish(epoch, [EndedBatch((await take(line, epoch)).field, whole=True, endings=[])])
            await before.queues.save()
            await before.put("x", PUSH)
            first = await take(line, epoch)
        server.kill()
        server.start()
        async with bench(server.url) as seen:
            line = queue(seen)
            await seen.put("y", PUSH)
            second = await take(line, epoch, first.field)
            await line.finish(epoch, [EndedBatch(first.field, whole=True, endings=[])])
            assert ids(second) == ids(await take(line, epoch)) == [b"y"]
            assert second.jobs[0].payload == (await take(line, epoch)).jobs[0].payload == PUSH
