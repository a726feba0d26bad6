"""Two systems on one Redis, told apart by their prefix alone."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import arq
import httpx
import msgspec
import pytest
from arq.connections import RedisSettings
from arq.jobs import Job as ArqJob
from redis.asyncio import Redis

from tailrace.events import whole_entries
from tailrace.push import JobState, Pusher
from tailrace.queue import DeadLetters, Filter
from tailrace.redis import connect
from tailrace.wire import Keys, SetupError
from tailrace.worker import Event, every, function
from tailrace.worker.calls._functions import Function
from tests.support.service import Service
from tests.support.wait import wait_until
from tests.worker.support import working

pytestmark = pytest.mark.anyio
SHOP, BLOG = "shop", "blog"


class Said(msgspec.Struct):
    by: str
    fails: bool = False


@every(1)
async def tick() -> Event:
    return Event("clock", {"tick": True})


@function
async def say(ctx: dict[str, Any], said: Said) -> Event:
    if said.fails:
        raise ValueError("as asked")
    return Event(f"room:{said.by}", {"job": ctx["job_id"]})


def marked(*calls: Any) -> dict[str, Function]:
    return {each.__name__: each.__tailrace_function__ for each in calls}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect(redis_url) as made:
        yield made


async def events(redis: Redis, prefix: str, channel: str) -> list[Any]:
    entries = whole_entries(await redis.xrange(Keys(prefix).log(0)))
    return [msgspec.json.decode(each.block.partition(b"\ndata: ")[2]) for each in entries if each.channel == channel]


@pytest.mark.parametrize("prefixes", [(SHOP, BLOG), ("tailrace", SHOP)])
async def test_each_system_runs_its_own_scheduled_functions(redis_url: str, redis: Redis, prefixes: tuple[str, str]) -> None:
    one, other = prefixes
    functions = marked(tick)
    async with working(redis_url, functions, prefix=one), working(redis_url, functions, prefix=other):
        for prefix in prefixes:
            await wait_until(partial(_at_least, 2, redis, prefix, "clock"), 10)


async def _at_least(count: int, redis: Redis, prefix: str, channel: str) -> bool:
    return len(await events(redis, prefix, channel)) >= count


@pytest.mark.parametrize("prefixes", [(SHOP, BLOG), ("tailrace", SHOP)])
async def test_one_job_id_names_a_job_of_each_system(redis_url: str, redis: Redis, prefixes: tuple[str, str]) -> None:
    one, other = prefixes
    async with Pusher(redis_url, prefix=one) as first, Pusher(redis_url, prefix=other) as second:
        jobs = [await pusher.call("say", {"by": name}, job_id="nightly") for pusher, name in ((first, "one"), (second, "other"))]
        assert [(job.id, job.new) for job in jobs] == [("nightly", True)] * 2
        assert not (await first.call("say", {"by": "again"}, job_id="nightly")).new
        async with working(redis_url, marked(say), prefix=one), working(redis_url, marked(say), prefix=other):
            ends = [await job.receipt() for job in jobs]
    for end, name in zip(ends, ("one", "other"), strict=True):
        assert end is not None
        assert (end.job, end.state, end.receipts[0].to) == ("nightly", JobState.APPENDED, f"room:{name}")
    assert (await events(redis, one, "room:one"))[0]["job"] == (await events(redis, other, "room:other"))[0]["job"] == "nightly"


async def test_a_job_is_looked_up_and_cancelled_in_its_own_system_alone(redis_url: str) -> None:
    async with Pusher(redis_url, prefix=SHOP) as shop, Pusher(redis_url, prefix=BLOG) as blog:
        await shop.call("say", {"by": "one"}, job_id="nightly", delay_s=60)
        assert await blog.status("nightly") is None
        assert await blog.cancel("nightly") is None
        for name in ("nightly", "shop/nightly"):
            status = await shop.status(name)
            assert status is not None
            assert (status.job, status.state) == ("nightly", JobState.SCHEDULED)
        await blog.call("say", {"by": "other"}, job_id="nightly", delay_s=60)
        assert await shop.cancel("nightly") == JobState.CANCELLED
        ended, waits = await shop.status("nightly"), await blog.status("nightly")
        assert ended is not None
        assert waits is not None
        assert (ended.job, ended.state, waits.state) == ("nightly", JobState.CANCELLED, JobState.SCHEDULED)


async def test_a_raw_id_of_another_system_is_not_found(redis_url: str, redis: Redis) -> None:
    async with Pusher(redis_url) as default, Pusher(redis_url, prefix=SHOP) as shop:
        await default.call("say", {"by": "one"}, job_id="nightly", delay_s=60)
        await redis.set("arq:in-progress:nightly", 1)
        assert await shop.status("nightly") is None
        assert await shop.cancel("nightly") is None
        pipe = redis.pipeline(transaction=False)
        pipe.hset("shop:hand:0", mapping={"1.1": b"1 0 " + msgspec.msgpack.encode([["nightly"], ["1"]])})
        await pipe.execute()
        status = await shop.status("nightly")
        assert status is not None
        assert status.state == await shop.cancel("nightly") == JobState.QUEUED


async def test_a_job_that_a_raw_producer_wrote_is_found_by_its_own_id(redis_url: str, redis: Redis) -> None:
    await redis.set("arq:job:raw-7", msgspec.json.encode({"t": None, "f": "say", "a": [{"by": "x"}], "k": {}, "et": 0}))
    await redis.zadd("shop:calls", {"raw-7": 1})
    async with Pusher(redis_url, prefix=SHOP) as shop:
        status = await shop.status("raw-7")
        assert status is not None
        assert (status.job, status.state) == ("raw-7", JobState.QUEUED)
        waiting = asyncio.create_task(shop.receipt("raw-7"))
        assert await shop.cancel("raw-7") == JobState.CANCELLED
        end = await waiting
        assert end is not None
        assert (end.job, end.state) == ("raw-7", JobState.CANCELLED)


async def test_ingest_and_dead_letters_show_the_id_that_was_given(redis_url: str, redis: Redis) -> None:
    with Service("ingest", "--redis", redis_url, "--prefix", SHOP) as ingest:
        async with httpx.AsyncClient(base_url=ingest.url) as client, Pusher(redis_url, prefix=SHOP) as shop:
            await shop.call("say", {"by": "one"}, job_id="later", delay_s=60)
            assert (await client.get("/jobs/later")).json() == {"job": "later", "state": "scheduled"}
            assert (await client.delete("/jobs/later")).json() == {"job": "later", "state": "cancelled"}
            accepted = (await client.post("/push", json={"to": "a", "data": 1}, headers={"prefer": "respond-async"})).json()
            assert "/" not in accepted["job"]
            assert (await client.get(accepted["url"])).json() == {"job": accepted["job"], "state": "queued"}
            assert await redis.zrange("shop:queue", 0, -1) == [f"shop/{accepted['job']}".encode()]


async def test_a_dead_letter_is_put_back_into_its_own_system(redis_url: str) -> None:
    async with Pusher(redis_url, prefix=SHOP) as shop, Pusher(redis_url, prefix=BLOG) as blog, connect(redis_url) as queues:
        async with working(redis_url, marked(say), prefix=SHOP):
            end = await (await shop.call("say", {"by": "one", "fails": True}, job_id="nightly")).receipt()
            assert end is not None
            assert end.state == JobState.DEAD
        await blog.call("say", {"by": "other"}, job_id="nightly", delay_s=60)
        letters = DeadLetters(queues, Keys(SHOP))
        async for page in letters.pages(Filter()):
            assert [letters.public_id(each) for each in page.letters] == ["nightly"]
            assert await letters.redrive(page.letters) == [""]
        status = await shop.status("nightly")
        assert status is not None
        assert status.state == JobState.QUEUED
        assert await queues.get("arq:result:shop/nightly") is None  # the earlier run's


async def test_a_stock_arq_client_uses_the_stored_id(redis_url: str) -> None:
    settings, decode = RedisSettings.from_dsn(redis_url), msgspec.json.decode
    pool = await arq.create_pool(settings, job_serializer=msgspec.json.encode, job_deserializer=decode, default_queue_name="shop:calls")
    try:
        async with Pusher(redis_url, prefix=SHOP) as shop, working(redis_url, marked(say), prefix=SHOP):
            await (await shop.call("say", {"by": "one"}, job_id="nightly")).receipt()
            job = ArqJob("shop/nightly", pool, _queue_name="shop:calls", _deserializer=decode)
            assert (await job.status()).value == "complete"
            assert len(await job.result(timeout=5)) == 1
    finally:
        await pool.aclose()


async def test_every_key_of_a_system_is_its_own(redis_url: str, redis: Redis) -> None:
    """All keys but `arq:abort`, which holds ids, begin with the prefix, or are arq's with a stored id."""
    async with Pusher(redis_url, prefix=SHOP) as shop, working(redis_url, marked(say, tick), prefix=SHOP):
        for name in ("one", "two"):
            await (await shop.call("say", {"by": name, "fails": name == "two"}, job_id=name)).receipt()
        await (await shop.push("a", {"x": 1}, key="k")).receipt()
        await (await shop.push("client:00000000-0000-4000-8000-000000000000", {"x": 1})).receipt()
        await shop.call("say", {"by": "late"}, job_id="late", delay_s=60)
        await wait_until(lambda: _at_least(1, redis, SHOP, "clock"), 10)
        arqs = tuple(f"arq:{kind}:shop/" for kind in ("job", "in-progress", "retry", "result"))
        strays = [key async for key in redis.scan_iter() if not key.decode().startswith(("shop:", *arqs))]
        assert strays == []


@pytest.mark.parametrize("prefix", ["", "a b", "a/b", "{a}", "a\n"])
async def test_a_prefix_that_could_mix_keys_is_refused(prefix: str) -> None:
    with pytest.raises(SetupError, match="invalid prefix"):
        Pusher("redis://127.0.0.1:1/0", prefix=prefix)
