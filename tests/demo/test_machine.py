"""The dashboard's function on a running worker: once a second, and silent while nobody looks."""

import pytest

from tailrace.demo._machine import CHANNEL
from tailrace.events import Registry
from tailrace.wire import ClientEntry, Keys
from tailrace.worker.calls._arq_settings import load
from tests.support.wait import wait_until
from tests.worker.support import bench, data_of, working

pytestmark = pytest.mark.anyio


async def test_samples_come_while_somebody_looks(any_redis_url: str) -> None:
    async with bench(any_redis_url, shards=2) as seen, working(any_redis_url, load(["tailrace.demo"]).functions, shards=2):
        await wait_until(lambda: seen.queues.keys("tailrace:tick:machine:*"))
        assert await seen.all_logs() == []
        await Registry(seen.logs, Keys()).register("edge", {"c": ClientEntry(0, [CHANNEL])}, {"all": 3, CHANNEL: 1}, whole=True)
        entries = await seen.appended(3)
        samples = [data_of(entry) for entry in entries]
        assert {entry.channel for entry in entries} == {CHANNEL}
        assert [sample["clients"] for sample in samples] == [3, 3, 3]
        assert all(0 <= sample["cpu"] <= 100 for sample in samples)
        assert samples[-1]["events"] > 0
        assert await seen.queues.exists(seen.keys.dead()) == 0
