"""A worker and its queue: what becomes of every kind of job."""

import math
import time
from typing import Any

import msgspec
import pytest
from arq.connections import RedisSettings, create_pool

from tailrace.wire import MAX_DATA_BYTES, JobState
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


async def test_the_log_line_of_a_dead_letter_names_its_function_job_and_queue(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(redis_url) as seen, working(redis_url):
        await seen.put("j1", payload("push", {"to": "a"}))
        await seen.dead(1)
    (line,) = [record for record in caplog.records if "dead letter" in record.getMessage()]
    assert line.getMessage().startswith("dead letter: push (job j1, queue tailrace:queue): ")
    assert [vars(line)[field] for field in ("function", "job", "queue", "path")] == ["push", "j1", "tailrace:queue", "$.data"]


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
