"""A claim runs out while nobody keeps it, not because Redis stood still or its clock was set."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from tailrace.worker.calls._arq_settings import load
from tests.support.clock import ShiftedRedis
from tests.support.redis import RedisServer
from tests.support.relay import Relay
from tests.support.wait import wait_until, wait_until_sync
from tests.worker.support import bench, payload, working
from tests.worker.test_call_kills import CALLS, put, whose, workers

TIMELESS = "tests.worker.application.Timeless"


@contextmanager
def running(server: RedisServer, seconds: float) -> Iterator[Any]:
    """Have one of several workers run a call; give a client."""
    with (
        server,
        redis.Redis.from_url(server.url) as client,
        workers(2, server.url, "--call-lease-s", "2", modules=("--functions", TIMELESS)) as services,
    ):
        put(client, "a", payload("sleepy", seconds))
        whose(client, "a", services)
        yield client


def assert_ran_once(client: Any) -> None:
    wait_until_sync(lambda: client.exists("arq:result:a"), 20)
    assert client.llen("starts:a") == client.llen("ends:a") == 1
    assert client.exists("tailrace:dead") == 0


@pytest.mark.timeout(60)
def test_a_redis_that_stood_still_has_not_killed_who_waited_for_it() -> None:
    server = RedisServer()
    with running(server, 9) as client:
        for _ in range(3):
            _stand_still(server, 2.5)
        assert_ran_once(client)


def _stand_still(server: RedisServer, seconds: float) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    until = time.monotonic() + seconds
    try:
        wait_until_sync(lambda: time.monotonic() > until)
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("hours", [(1, 2, 3), (1, -2, 3)], ids=["forwards", "to and fro"])
def test_a_clock_that_is_set_kills_nobody(tmp_path: Path, hours: tuple[int, ...]) -> None:
    server = ShiftedRedis(tmp_path)
    with running(server, 4) as client:
        for each in hours:
            server.set_ahead(each * 3600)
            wait_until_sync(partial(_renewed, client, client.get("arq:in-progress:a")))
        assert_ran_once(client)


def _renewed(client: Any, before: bytes) -> bool:
    return bool(client.get("arq:in-progress:a") != before)


@pytest.mark.anyio
async def test_a_redis_that_answers_slowly_gives_calls_out_all_the_same(redis_url: str) -> None:
    """What a renewal says is older, when it comes back, than half of a short lease."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with (
        bench(redis_url) as seen,
        Relay(port, 0.13) as far,
        working(f"redis://{far.address}", load([TIMELESS]).functions, call_lease_s=0.5),
    ):
        await seen.put("a", payload("add", 1), queue=CALLS)
        await wait_until(lambda: seen.queues.exists("arq:result:a"))
