"""An edge of the first version reads a log with revocations in it: it delivers what it should, and takes nothing amiss."""

import os
import signal

import httpx
import pytest
from redis.asyncio import Redis

from tailrace.events import LogWriter, NewEvent, _revocations
from tailrace.events._revocations import REVOCATION_CHANNEL, Revoker, Target
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.sse import SSEClient
from tests.support.versions import CURRENT, Version, earlier
from tests.system.test_upgrade import FIRST

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
KEYS = Keys()


@pytest.fixture(scope="module", params=["first", "current"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Version:
    return CURRENT if request.param == "current" else earlier(FIRST, tmp_path_factory.mktemp("earlier"))


async def test_an_edge_that_does_not_know_revocations_delivers_none_and_never_thinks_it_fell_off_the_log(
    version: Version, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_revocations, "REVOCATION_FORMAT", 0)  # else none is written while such an edge is there
    port = free_port()
    async with connect(redis_server.url) as redis, httpx.AsyncClient() as http:
        history = _History(redis)
        await history.go_on()  # what a ring is filled with
        with version.service("edge", "--redis", redis_server.url, "--metrics-port", str(port)) as edge:
            async with SSEClient(f"{edge.url}/sse", channel="a") as client:
                await client.next("connect")
                for _ in range(3):
                    os.kill(edge.pid, signal.SIGSTOP)  # so one answer has the first entry, and the next begins with a revocation
                    await history.go_on()
                    os.kill(edge.pid, signal.SIGCONT)
                    assert await _three(client) == history.newest(3)
                await client.drop()
                await history.go_on()
                await client.reconnect()
                assert await _three(client) == history.newest(3)
                assert {event.event for event in client.events} <= {"connect", "message", "heartbeat"}
            async with SSEClient(f"{edge.url}/sse", channel=REVOCATION_CHANNEL) as refused:
                assert refused.status == 400
            metrics = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            assert "tailrace_edge_foreign_entries_total 0" in metrics
            assert "trimmed" not in edge.stderr


async def _three(client: SSEClient) -> list[int]:
    """Give the next three events; the first version also writes blocks of an id alone."""
    found = list[int]()
    while len(found) < 3:
        if data := (await client.next()).data:
            found.append(int(data))
    return found


class _History:
    """Appends numbers to a channel, with revocations between them."""

    def __init__(self, redis: Redis) -> None:
        self._writer, self._revoker = LogWriter(redis, KEYS, 0), Revoker(redis, KEYS, 1)
        self._next = 0

    async def go_on(self) -> None:
        for step in (self._append, self._revoke, self._append, self._append, self._revoke):
            await step()

    def newest(self, most: int) -> list[int]:
        return list(range(self._next - most, self._next))

    async def _append(self) -> None:
        await self._writer.append([NewEvent("0", "a", encode_json_block("message", str(self._next).encode()))])
        self._next += 1

    async def _revoke(self) -> None:
        await self._revoker.revoke(Target(channel="a"))
