"""How often an edge asks Redis for what is new."""

import os
import signal
import sys
import time

import pytest
from redis.asyncio import Redis

from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import numbers, sse
from tests.support.service import Service

pytestmark = pytest.mark.anyio
_GATHER_S = 0.002
_BESIDES = 5
"""Questions that wait for a reply when it begins, and those before replies are many."""


async def test_a_flood_of_single_events_is_gathered(start_edge: StartEdge, redis_url: str, redis: Redis, log: Log) -> None:
    edge = start_edge(redis_url)
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        await redis.config_resetstat()
        begun = time.monotonic()
        for _ in range(300):
            await log.append("a")
        await numbers(client, 300)
        questions = (await redis.info("commandstats"))["cmdstat_xread"]["calls"]
        assert questions <= (time.monotonic() - begun) / _GATHER_S + _BESIDES


def gathering_for_long(redis_url: str) -> Service:
    """Give an edge that waits for half a second where replies are many."""
    program = """
from tailrace.cli import main
from tailrace.edge.feed import _reader
assert _reader._GATHER_S < _reader._MANY_S
_reader._GATHER_S, _reader._MANY_S = 0.5, 5.0
raise SystemExit(main())"""
    service = Service("edge", "--redis", redis_url)
    service._command = (sys.executable, "-c", program, *service._command[3:])
    return service


async def test_where_a_reply_is_full_the_next_question_goes_out_at_once(redis_url: str, log: Log) -> None:
    with gathering_for_long(redis_url) as edge:
        async with sse(edge, channel="a") as client:
            await client.next("connect")
            os.kill(edge.pid, signal.SIGSTOP)
            await log.append("elsewhere", times=20 * 512)
            (last,) = await log.append("a")
            os.kill(edge.pid, signal.SIGCONT)
            assert await numbers(client, 1, timeout_s=8) == [last]
