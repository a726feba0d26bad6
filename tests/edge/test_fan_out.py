"""A large fan-out, as those see it who want something of the edge meanwhile."""

import asyncio
import statistics
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tailrace.events import LogWriter, NewEvent
from tailrace.service import raise_file_limit
from tailrace.wire import Keys, encode_json_block
from tests.benchmarks._load import load
from tests.edge.conftest import StartEdge
from tests.support.proxy import need

CLIENTS, EVENTS, PAUSE_S = 15_000, 10, 1.0


@pytest.mark.anyio
@pytest.mark.prove
@pytest.mark.timeout(150)
async def test_requests_and_accepts_get_through_a_fan_out_to_15_000(
    start_edge: StartEdge, redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    need("cc")
    raise_file_limit()
    port = int(start_edge(redis_url, heartbeat_s=30, registry_lease_s=15).url.rpartition(":")[2])
    answered: dict[str, list[list[float]]] = {"/healthz": [], "/sse": []}
    writer = LogWriter(redis, Keys(), 0)
    async with load(tmp_path, port, "/sse?channel=a", CLIENTS, events=EVENTS, seconds=55) as crowd:
        assert crowd.connected.connected == CLIENTS
        counting = asyncio.create_task(crowd.counted())
        for _ in range(EVENTS):
            began = time.monotonic()
            await writer.append([NewEvent("", "a", encode_json_block("message", b'{"t":%f}' % time.time()))])
            asking = [_answers(port, path, began) for path in answered]
            for path, found in zip(answered, await asyncio.gather(*asking), strict=True):
                answered[path].append(found)
        counted = await counting
    assert counted.events == CLIENTS * EVENTS
    early = {path: statistics.median(sum(ms < counted.p50_ms for ms in each) for each in found) for path, found in answered.items()}
    print(f"half had an event after {counted.p50_ms:.0f} ms, all after {counted.max_ms:.0f} ms; answered in the first half: {early}")
    assert early["/healthz"] >= 4
    assert early["/sse"] >= 1


async def _answers(port: int, path: str, began: float) -> list[float]:
    """Ask again and again, each time on a connection of its own, and say after how many milliseconds answers began."""
    found: list[float] = []
    while time.monotonic() < began + PAUSE_S:
        reader, connection = await asyncio.open_connection("127.0.0.1", port)
        connection.write(b"GET %b HTTP/1.1\r\nHost: edge\r\n\r\n" % path.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        found.append((time.monotonic() - began) * 1000)
        connection.close()
    return found
