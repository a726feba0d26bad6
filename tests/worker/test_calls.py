"""Calls of functions on a running worker."""

import json
import math
import time
from typing import Any

import msgspec
import pytest
from arq.connections import RedisSettings, create_pool

from tailrace.events import Registry
from tailrace.wire import ClientEntry, JobState, Keys
from tailrace.worker.calls._arq_settings import load
from tailrace.worker.calls._executor import Calls
from tests.support.wait import wait_until
from tests.worker.support import bench, data_of, payload, working

pytestmark = pytest.mark.anyio
FUNCTIONS = load(["tests.worker.handlers"]).functions
CALLS = "tailrace:calls"


async def test_a_function_emits_events_from_either_queue(any_redis_url: str) -> None:
    async with bench(any_redis_url, shards=2) as seen, working(any_redis_url, FUNCTIONS, shards=2):
        await Registry(seen.logs, Keys()).register("edge", {"c": ClientEntry(0, ["room:x"])}, {"room:x": 1}, whole=True)
        await seen.put("direct", payload("say", {"sender": "x", "text": "hi"}, receipt=""), queue=CALLS)
        await seen.put("moved", payload("fan_out", {"sender": "x", "at": 7}, receipt=""))
        await seen.put("none", payload("nothing", {"sender": "x"}, receipt=""))
        direct, moved, none = [await seen.receipt(job) for job in ("direct", "moved", "none")]
        assert [made.status for made in moved.receipts] == ["success"] * 7
        assert (direct.many, direct.receipts[0].event, direct.receipts[0].recipients) == (False, "said", 1)
        assert (none.state, none.receipts) == (JobState.APPENDED, [])
        (said,) = [data_of(entry) for entry in await seen.all_logs() if entry.channel == "room:x"]
        assert (said["text"], set(said)) == ("hi", {"text", "timestamp"})
        assert await seen.jobs("room:0") == [0, 3, 6]
        await seen.idle()
        assert await seen.queues.keys("arq:job:*") == []


async def test_a_call_that_runs_again_appends_nothing_twice(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        for _ in range(2):  # the same job, as after a kill between append and end
            await seen.put("job", payload("fan_out", {"sender": "x", "at": 3}, receipt=""), queue=CALLS)
            await seen.idle()
        assert len(await seen.log()) == 3
        assert not any(made.duplicate for made in (await seen.receipt("job")).receipts)


BAD: dict[str, tuple[bytes | None, str, str]] = {
    "invalid": (payload("say", {"sender": 1}), "Expected `str`, got `int`", "$.sender"),
    "no argument": (payload("say"), "takes one argument", "$"),
    "keyword": (payload("say", {"sender": "x"}, loud=True), "unknown keyword `loud`", "$.k"),
    "broken": (payload("broken", {"sender": "x", "text": "why"}), "broken failed: ValueError: why", "$"),
    "unspeakable": (payload("unspeakable", {"sender": "x", "text": "no words"}), "UnspeakableError: (an error", "$"),
    "unwritable": (payload("unspeakable", {"sender": "x"}), "ValueError: \\ud800", "$"),
    "never enqueued": (b'{"f":"say","a":[],"et":-1}', "out of range", "$.et"),
    "leaves": (payload("leaves", {"sender": "x", "text": "why"}), "leaves failed: RuntimeError: SystemExit: why", "$"),
    "leaves thread": (payload("leaves_thread", {"sender": "x"}), "RuntimeError: SystemExit: ", "$"),
    "interrupts": (payload("interrupts", {"sender": "x"}), "RuntimeError: KeyboardInterrupt: ", "$"),
    "wrong": (payload("wrong", {"sender": "x"}), "returned str", "$"),
    "bad event": (payload("bad_event", {"sender": "x"}), "reserved", "$[1].event"),
    "unknown": (payload("nix", {}), "no worker has a function 'nix'", "$.f"),
    "never": (payload("never", {"sender": "x"}), "tried 3 times", "$"),
    "slow": (payload("slow", {"sender": "x", "at": 5000}), "took longer than 0.5 s", "$"),
    "pickled": (b"\x80\x04x", "pickled", "$"),
    "not JSON": (b"{", "truncated", "$"),
    "args": (b'{"f":"say","a":{"sender":"x"},"k":{}}', "Expected `array`", "$.a"),
    "kwargs": (b'{"f":"say","a":[],"k":[1]}', "Expected `object`", "$.k"),
    "surrogate": (b'{"f":"say","a":["\\ud800"]}', "surrogate", "$"),
    "lost": (None, "gone", "$"),
}


async def test_every_bad_call_is_a_dead_letter_and_the_worker_goes_on(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS, call_tries=3, call_timeout_s=0.5, function_wait_s=0):
        for job, (text, _, _) in BAD.items():
            await seen.put(job, text, queue=CALLS)
        letters = {letter.job: letter for letter in await seen.dead(len(BAD))}
        for job, (text, reason, path) in BAD.items():
            letter = letters[job]
            assert reason in letter.reason, job
            assert (letter.path, letter.payload, letter.queue) == (path, text or b"", CALLS), job
            assert (await seen.receipt(job)).state is JobState.DEAD
        assert "ValueError: why" in letters["broken"].traceback
        assert await seen.log() == []
        await seen.put("good", payload("say", {"sender": "x"}), queue=CALLS)
        await seen.appended(1)
        await seen.idle()
        assert await seen.queues.keys("arq:job:*") == []


async def test_a_call_whose_payload_is_of_another_type_is_a_dead_letter(any_redis_url: str) -> None:
    async with bench(any_redis_url) as seen, working(any_redis_url, FUNCTIONS):
        await seen.queues.zadd("arq:job:set", {"x": 1})
        await seen.put("set", None, queue=CALLS)
        (letter,) = await seen.dead(1)
        assert "of another type" in letter.reason
        assert (letter.job, letter.path, letter.payload, letter.queue) == ("set", "$", b"", CALLS)
        assert (await seen.receipt("set")).state is JobState.DEAD
        await seen.idle()
        assert await seen.queues.exists("arq:job:set") == 0


async def test_what_nobody_has_thought_of_is_one_calls_own(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unthought(*_: Any) -> None:
        raise OverflowError

    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        await seen.put("slow", payload("slow", {"sender": "x", "at": 1000, "text": "slow"}), queue=CALLS)
        await wait_until(lambda: seen.queues.exists("arq:in-progress:slow"))
        with monkeypatch.context() as patch:
            patch.setattr("tailrace.worker.calls._runner.ms_to_datetime", unthought)
            await seen.put("bad", payload("say", {"sender": "x"}), queue=CALLS)
            (letter,) = await seen.dead(1)
        assert (letter.job, letter.reason) == ("bad", "it can't be handled: OverflowError")
        assert await seen.queues.exists("arq:in-progress:slow")
        await seen.appended(1)


async def test_a_call_with_an_endless_score_runs(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        await seen.put("a", payload("say", {"sender": "x"}), -math.inf, queue=CALLS)
        await seen.appended(1)
        await seen.idle()


async def test_retry_tries_again(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        await seen.put("a", payload("third_time", {"sender": "x"}), queue=CALLS)
        (entry,) = await seen.appended(1)
        assert data_of(entry)["try"] == 3


async def test_slow_calls_hold_up_no_push(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS, drain_s=0.1):
        for job in range(20):
            await seen.put(f"slow{job}", payload("slow", {"sender": "x", "at": 60_000}))
        await wait_until(lambda: seen.queues.keys("arq:in-progress:*"))
        started = time.monotonic()
        await seen.push("quick", "room:1")
        await seen.appended(1)
        assert time.monotonic() - started < 1
    assert await seen_again(redis_url) == 20  # cut off at the end, and put back


async def seen_again(url: str) -> int:
    async with bench(url) as seen:
        assert await seen.queues.keys("arq:in-progress:*") == []
        return int(await seen.queues.zcard(CALLS))


async def test_running_calls_get_time_to_end(redis_url: str) -> None:
    async with bench(redis_url) as seen:
        async with working(redis_url, FUNCTIONS, drain_s=5):
            await seen.put("slow", payload("slow", {"sender": "x", "at": 300, "text": "a"}), queue=CALLS)
            await wait_until(lambda: seen.queues.keys("arq:in-progress:*"))
        assert await seen.jobs("room:slow") == ["a"]


async def test_a_stock_client_gets_arqs_result(redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    pool: Any = await create_pool(
        RedisSettings(port=port),
        job_serializer=msgspec.json.encode,
        job_deserializer=msgspec.json.decode,
        default_queue_name=CALLS,
    )
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        job = await pool.enqueue_job("say", {"sender": "x"})
        (entry,) = await seen.appended(1)
        assert await job.result(timeout=5, poll_delay=0.02) == [f"{entry.id >> 64}-{entry.id & 0xFFFF}"]
    await pool.aclose()


async def test_receipts_of_failed_calls_are_announced(redis_url: str) -> None:
    async with bench(redis_url) as seen, seen.queues.pubsub() as heard, working(redis_url, FUNCTIONS):
        await heard.subscribe("tailrace:receipts:me")
        await wait_until(lambda: heard.get_message(timeout=1))
        await seen.put("a", payload("broken", {"sender": "x", "text": "why"}, receipt="me"), queue=CALLS)
        message = await wait_until(lambda: heard.get_message(timeout=1))
        assert json.loads(message["data"])["state"] == "dead"


async def test_a_call_whose_id_arq_cannot_read_is_a_dead_letter_and_the_others_run(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        await seen.queues.set(b"arq:job:\xff", payload("say", {"sender": "x", "text": "hi"}))
        await seen.queues.execute_command("ZADD", Keys().queue(), 1, b"\xff")  # type: ignore[no-untyped-call]
        (letter,) = await seen.dead(1)
        assert letter.reason == "the id of a call has to be UTF-8"
        await seen.put("good", payload("say", {"sender": "x", "text": "hi"}, receipt=""))
        assert (await seen.receipt("good")).state is JobState.APPENDED


@pytest.mark.parametrize(("fenced", "runs"), [(True, [2]), (False, [2, 1, 1])], ids=["", "twin"])
async def test_a_call_whose_claim_ran_out_emits_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fenced: bool, runs: list[int]
) -> None:
    """The twin shows the harm: what the first run emits beyond the second's comes as well."""

    async def stand_still(calls: Calls) -> None:
        calls._awake_until = math.inf  # it doesn't know

    async def holds(*_: Any) -> bool:
        return True

    monkeypatch.setattr(Calls, "_renew", stand_still)
    if not fenced:
        monkeypatch.setattr(Calls, "_holds", holds)
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS, call_lease_s=0.5):
        await seen.put("job", payload("grows_less", {"sender": "x", "at": 1500}, receipt=""), queue=CALLS)
        assert len((await seen.receipt("job")).receipts) == 1
        await wait_until(lambda: "another worker has it" in caplog.text)
        assert await seen.jobs("room:runs") == runs
        assert len((await seen.receipt("job")).receipts) == 1
        await seen.idle()
