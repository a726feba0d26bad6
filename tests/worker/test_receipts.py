"""Receipts as the worker makes them: what they say, to whom, and for whom there is none."""

import json

import msgspec
import pytest

from tailrace.events import Registry
from tailrace.wire import ClientEntry, JobState, Keys, format_id
from tests.support.wait import wait_until
from tests.worker.support import bench, data_of, payload, working

pytestmark = pytest.mark.anyio


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
