"""A worker and its queue: what becomes of every kind of job."""

import json
import math
import random
import time
from typing import Any

import msgspec
import pytest
from arq.connections import RedisSettings, create_pool

from tailrace.log import Registry
from tailrace.wire import MAX_DATA_BYTES, ClientEntry, JobState, Keys, format_id
from tests.support.wait import wait_until
from tests.worker.support import bench, data_of, payload, working

pytestmark = pytest.mark.anyio

BAD = {
    "pickled": (b"\x80\x04\x95\x10", "pickled", "$"),
    "not JSON": (b'{"f": "push", ', "truncated", "$"),
    "not UTF-8": (b'{"f": "\xff"}', "UTF-8", "$"),
    "no object": (b"[1, 2]", "Expected `object`", "$"),
    "no function": (b'{"a": []}', "missing required field `f`", "$"),
    "lost": (None, "gone", "$"),
    "no argument": (payload("push"), "length 1", "$"),
    "two arguments": (payload("push", {"to": "a", "data": 1}, {"to": "a", "data": 1}), "length 1", "$"),
    "unknown keyword": (payload("push", {"to": "a", "data": 1}, colour=1), "unknown field `colour`", "$.k.colour"),
    "unknown field": (payload("push", {"to": "a", "data": 1, "colour": 1}), "unknown field `colour`", "$.colour"),
    "wrong type": (payload("push", {"to": 1, "data": 1}), "Expected `str`, got `int`", "$.to"),
    "bad channel": (payload("push", {"to": "room 1", "data": 1}), "bad channel name", "$.to"),
    "channel with line feed": (payload("push", {"to": "room\n", "data": 1}), "bad channel name", "$.to"),
    "reserved event": (payload("push", {"to": "a", "event": "connect", "data": 1}), "reserved", "$.event"),
    "event with line feed": (payload("push", {"to": "a", "event": "x\ny", "data": 1}), "CR, LF or NUL", "$.event"),
    "nothing to say": (payload("push", {"to": "a"}), "`data` or `text`", "$.data"),
    "both": (payload("push", {"to": "a", "data": 1, "text": "x"}), "not both", "$.text"),
    "too large": (payload("push", {"to": "a", "data": "x" * MAX_DATA_BYTES}), "1048576 at most", "$.data"),
    "lone surrogate": (b'{"f":"push","a":[{"to":"a","data":"\\ud800"}]}', "surrogate", "$"),
    "too deep": (b'{"f":"push","a":[{"to":"a","data":' + b"[" * 20_000 + b"]" * 20_000 + b"}]}", "nested too deeply", "$"),
    "negative expiry": (payload("push", {"to": "a", "data": 1, "expires_s": -1}), ">= 0", "$.expires_s"),
    "third of many": (payload("push_many", [{"to": "a", "data": 1}] * 2 + [{"to": "a", "data": 1, "event": ""}]), "1 to 128", "$[2].event"),
    "type in many": (payload("push_many", [{"to": "a", "data": 1}, {"to": "a", "data": 1, "key": 7}]), "Expected", "$[1].key"),
    "many without list": (payload("push_many", {"to": "a", "data": 1}), "Expected `array`", "$"),
}


async def test_every_bad_job_is_a_dead_letter_and_the_worker_goes_on(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, working(any_redis_url):
        for name, (text, _, _) in BAD.items():
            await seen.put(name, text)
        await seen.push("good", "room:1")
        assert [data_of(entry)["job"] for entry in await seen.appended(1)] == ["good"]
        letters = {letter.job: letter for letter in await seen.dead(len(BAD))}
        for name, (text, reason, path) in BAD.items():
            letter = letters[name]
            assert reason in letter.reason, name
            assert letter.path == path, name
            assert (letter.payload, letter.queue) == (text or b"", "tailrace:queue")
            assert (await seen.receipt(name)).state is JobState.DEAD
        await seen.idle()
        assert await seen.queues.keys("arq:job:*") == []


async def test_payloads_of_another_type_are_dead_letters(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, working(any_redis_url):
        await seen.queues.xadd("arq:job:stream", {"a": "b"})
        await seen.queues.zadd("arq:job:set", {"a": 1})
        for job in ("stream", "set"):
            await seen.put(job, None)
        await seen.push("good", "room:1")
        assert [data_of(entry)["job"] for entry in await seen.appended(1)] == ["good"]
        letters = await seen.dead(2)
        assert [(letter.job, letter.payload) for letter in letters] == [("stream", b""), ("set", b"")]
        assert all("of another type" in letter.reason for letter in letters)
        await seen.idle()
        assert await seen.queues.keys("arq:job:*") == []


async def test_what_would_never_be_due_is_a_dead_letter(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, working(any_redis_url):
        for job, due_ms in ("infinite", math.inf), ("in microseconds", time.time() * 1e6):
            await seen.push(job, "room:1", due_ms=due_ms)
        letters = await seen.dead(2)
        assert {letter.job for letter in letters} == {"infinite", "in microseconds"}
        assert all("milliseconds" in letter.reason for letter in letters)
        await seen.idle()


async def test_a_queue_of_another_type_is_named_and_waited_for(any_redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(any_redis_url) as seen:
        await seen.queues.set(seen.keys.queue(), "overwritten")
        async with working(any_redis_url):
            await wait_until(lambda: "tailrace:queue is no sorted set" in caplog.text)
            await seen.queues.delete(seen.keys.queue())
            await seen.push("0", "room:1")
            await seen.appended(1)


async def test_ids_of_any_bytes(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        for job in (b"\xff\xfe", b"", b"a b\r\n"):
            await seen.queues.set(b"arq:job:" + job, payload("push", {"to": "room:1", "data": {"job": 1}}, receipt=""))
            await seen.queues.zadd("tailrace:queue", {job: 1})
        await seen.appended(3)
        await seen.idle()
        assert await seen.queues.exists(b"tailrace:receipt:\xff\xfe") == 1


async def test_jobs_of_one_producer_keep_their_order(redis_url: str) -> None:
    async with bench(redis_url, shards=3) as seen:
        for number in range(300):
            await seen.push(str(number), f"room:{number % 7}", {"job": number})
        async with working(redis_url, shards=3, batch_jobs=16):
            await seen.appended(300)
        for channel in range(7):
            assert await seen.jobs(f"room:{channel}") == list(range(channel, 300, 7))


async def test_events_are_stamped_and_carry_their_type(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("a", "room:1", {"x": 1}, event="tick")
        await seen.push("b", "room:1", {"x": 1}, stamp=False)
        await seen.put("c", payload("push", {"to": "room:1", "text": "<b>\r\nhi</b>"}))
        first, second, third = [entry.block for entry in await seen.appended(3)]
        assert first.startswith(b'event: tick\ndata: {"timestamp":"20')
        assert second == b'event: message\ndata: {"x":1}\n\n'
        assert third == b"event: message\ndata: <b>\ndata: hi</b>\n\n"


async def test_scheduled_jobs_wait_for_their_time(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        due = time.time() * 1000 + 300
        await seen.push("later", "room:1", due_ms=due)
        await seen.push("now", "room:1")
        entries = await seen.appended(2)
        assert [data_of(entry)["job"] for entry in entries] == ["now", "later"]
        assert 0 <= (entries[1].id >> 64) - due < 100


async def test_a_score_ahead_of_the_clock_is_due_if_it_is_the_last_of_the_queue(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        ahead = time.time() * 1000 + 3_600_000  # Redis' clock has stepped back
        await seen.queues.hset("tailrace:line:0", "last", f"{ahead:.17g}")  # type: ignore[misc]
        await seen.push("a", "room:1", due_ms=ahead)
        await seen.appended(1)


async def test_what_is_late_expires(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        past = time.time() * 1000 - 5000
        await seen.push("late", "room:1", due_ms=past, expires_s=1, receipt="")
        await seen.push("fresh", "room:1", due_ms=past + 1, expires_s=60, receipt="")
        two = [{"to": "room:1", "data": {"job": "x"}, "expires_s": 1}, {"to": "room:1", "data": {"job": "y"}}]
        await seen.put("many", payload("push_many", two, receipt=""), past + 2)
        async with working(redis_url):
            late, fresh, many = [await seen.receipt(job) for job in ("late", "fresh", "many")]
        assert late.state is JobState.EXPIRED
        assert late.receipts[0].message.startswith("expired")
        assert fresh.state is many.state is JobState.APPENDED
        assert [receipt.status for receipt in many.receipts] == ["info", "success"]
        assert await seen.jobs("room:1") == ["fresh", "y"]


async def test_receipts_name_the_entry_and_count_who_is_there(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, working(any_redis_url):
        there = ClientEntry(since=0, channels=["room:1", "all", "client:here"])
        registry = Registry(seen.logs, Keys())
        await registry.register("edge", {"here": there, "left": None}, {"room:1": 1, "all": 1, "client:here": 1}, whole=True)
        channels = ("room:1", "room:2", "all", "client:here", "client:left", "client:never")
        for channel in channels:
            await seen.push(channel, channel, {"x": 1}, receipt="")
        receipts = {channel: await seen.receipt(channel) for channel in channels}
        rows = {channel: (made.receipts[0].status, made.receipts[0].recipients) for channel, made in receipts.items()}
        assert rows == {
            "room:1": ("success", 1),
            "room:2": ("success", 0),
            "all": ("success", 1),
            "client:here": ("success", 1),
            "client:left": ("info", 0),
            "client:never": ("error", 0),
        }
        assert receipts["client:never"].state is JobState.EXPIRED
        assert receipts["client:never"].receipts[0].message == "no such client"
        entries = {entry.channel: entry for entry in await seen.log()}
        assert "client:never" not in entries
        receipt = receipts["room:1"].receipts[0]
        assert receipt.id == format_id(entries["room:1"].id)
        assert msgspec.json.decode(receipt.data) == {"timestamp": receipt.timestamp, "x": 1}  # type: ignore[arg-type]


async def test_nobody_connected(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("a", "all", receipt="")
        receipt = (await seen.receipt("a")).receipts[0]
        assert (receipt.status, receipt.recipients) == ("info", 0)
        assert isinstance(receipt.id, str)


async def test_receipts_are_announced_to_who_asked_and_made_for_nobody_else(redis_url: str) -> None:
    async with bench(redis_url) as seen, seen.queues.pubsub() as heard, working(redis_url):
        await heard.subscribe("tailrace:receipts:me")
        await wait_until(lambda: heard.get_message(timeout=1))
        await seen.push("silent", "room:1")
        await seen.push("asked", "room:1", receipt="me")
        message = await wait_until(lambda: heard.get_message(timeout=1))
        assert json.loads(message["data"])["job"] == "asked"
        await seen.idle()
        assert await seen.queues.exists("tailrace:receipt:silent") == 0
        assert 3000 < await seen.queues.ttl("tailrace:receipt:asked") <= 3600


async def test_many_over_three_shards_keep_their_order_and_have_a_receipt_each(redis_url: str) -> None:
    async with bench(redis_url, shards=3) as seen, working(redis_url, shards=3):
        pushes = [{"to": f"room:{number % 10}", "data": {"job": number}} for number in range(1000)]
        await seen.put("many", payload("push_many", pushes, receipt=""))
        receipt = await seen.receipt("many")
        assert receipt.many
        assert len({made.id for made in receipt.receipts}) > 300  # ids of different shards may be equal
        for channel in range(10):
            assert await seen.jobs(f"room:{channel}") == list(range(channel, 1000, 10))
        by_id = {(entry.channel, format_id(entry.id)): data_of(entry)["job"] for entry in await seen.all_logs()}
        assert [by_id[f"room:{n % 10}", made.id] for n, made in enumerate(receipt.receipts) if isinstance(made.id, str)] == list(
            range(1000)
        )


async def test_many_of_nothing_and_of_no_client(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.put("empty", payload("push_many", [], receipt=""))
        pushes = [{"to": "client:nobody", "data": 1}, {"to": "room:1", "data": 1}]
        await seen.put("some", payload("push_many", pushes, receipt=""))
        assert (await seen.receipt("empty")).receipts == []
        assert [made.status for made in (await seen.receipt("some")).receipts] == ["error", "success"]


async def test_a_known_key_answers_the_first_entry(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        for job in ("first", "again"):
            await seen.push(job, "room:1", key="k", receipt="")
        first, again = [(await seen.receipt(job)).receipts[0] for job in ("first", "again")]
        assert (first.id, first.duplicate, again.duplicate) == (again.id, False, True)
        assert len(await seen.log()) == 1


async def test_jobs_that_ring_no_bell_are_found_soon_on_an_idle_redis(redis_url: str) -> None:
    """An idle Redis looks only ten times a second at whether a blocked command has waited long enough."""
    async with bench(redis_url) as seen, working(redis_url):
        await seen.push("first", "room:0")
        await seen.appended(1)
        start_ms = time.time() * 1000 + 100
        due_ms = [start_ms + 53 * number for number in range(20)]
        for number, due in enumerate(due_ms):
            await seen.push(str(number), "room:1", due_ms=due)
        await wait_until(lambda: time.time() * 1000 > due_ms[-1] + 200)  # and Redis is left alone
        late_ms = [(entry.id >> 64) - due for entry, due in zip((await seen.appended(21))[1:], due_ms, strict=True)]
        assert sorted(late_ms)[10] < 20
        assert min(late_ms) > -2


async def test_the_bell_wakes_the_worker(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, poll_ms=2000):
        await seen.push("a", "room:1")
        await seen.queues.rpush("tailrace:bell:0", "1")  # type: ignore[misc]
        await seen.appended(1, timeout_s=1)


async def test_what_is_found_without_a_ring_and_at_one_comes_once(redis_url: str) -> None:
    """A take waits behind the bell, while others look for what didn't ring; some rings come while what those found is in hand."""
    chance = random.Random(3)
    async with bench(redis_url, 2) as seen, working(redis_url, shards=2, poll_ms=2):
        for number in range(400):
            await seen.push(str(number), f"room:{number % 3}", {"job": number})
            if chance.random() < 0.5:
                for _ in range(chance.randrange(8)):
                    await seen.queues.ping()
                await seen.queues.rpush("tailrace:bell:0", "1")  # type: ignore[misc]
        await seen.appended(400)
        await seen.idle()
        assert [await seen.jobs(f"room:{room}") for room in range(3)] == [list(range(room, 400, 3)) for room in range(3)]


async def test_several_partitions(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, partitions=3):
        for partition in ("", ":1", ":2"):
            await seen.put(f"job{partition}", payload("push", {"to": "room:1", "data": 1}), queue=f"tailrace:queue{partition}")
        await seen.appended(3)


async def test_a_stock_arq_producer_with_a_json_serializer(redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    pool = await create_pool(RedisSettings(port=port), job_serializer=msgspec.json.encode, default_queue_name="tailrace:queue")
    async with bench(redis_url) as seen, working(redis_url):
        job = await pool.enqueue_job("push", {"to": "room:1", "data": {"job": "arq"}})
        assert job
        await seen.appended(1)
        assert await seen.jobs("room:1") == ["arq"]
    await pool.aclose()


async def test_queue_and_logs_on_two_servers(redis_url: str, redis_server: Any) -> None:
    async with bench(redis_url, 1, redis_server.url) as seen, working(redis_url, queue_redis=redis_server.url):
        await seen.push("a", "room:1", receipt="")
        await seen.put("bad", b"{")
        assert (await seen.receipt("a")).state is JobState.APPENDED
        assert len(await seen.dead(1)) == 1
        assert len(await seen.log()) == 1
        assert await seen.queues.exists("tailrace:{0}:log") == 0
        assert await seen.logs.exists("tailrace:queue", "tailrace:dead", "tailrace:line:0") == 0
