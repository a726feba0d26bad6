"""Who is let in, and for how long."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from tailrace.edge import EdgeConfig
from tailrace.edge.streams._client_address import Addresses
from tailrace.wire import SetupError
from tests.edge.conftest import Log, StartEdge
from tests.edge.tools import sse
from tests.support.clock import ShiftedRedis
from tests.support.service import Service
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until
from tests.system.checker import judge

GUEST = "plugin on granian"


@asynccontextmanager
async def first_event(edge: Service, forwarded: str = "", peer: str = "127.0.0.1", client_id: str = "") -> AsyncIterator[str]:
    """Keep a stream open from an address, and give its first event: `connect` or `busy`."""
    transport = httpx.AsyncHTTPTransport(local_address=peer)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    url = f"{edge.url}/sse" + (f"?client_id={client_id}" if client_id else "")
    async with httpx.AsyncClient(transport=transport) as client, aconnect_sse(client, "GET", url, headers=headers) as source:
        assert source.response.status_code == 200
        events = source.aiter_sse()  # kept, since httpx closes a stream whose iterator is gone
        yield (await anext(events)).event


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["tailrace edge", GUEST])
async def test_streams_of_one_address_are_limited(start_edge: StartEdge, redis_url: str, kind: str) -> None:
    edge = start_edge(redis_url, kind, max_connections_per_address=2)
    async with sse(edge) as one, sse(edge) as two:
        await one.next("connect")
        await two.next("connect")
        async with sse(edge) as three:
            await three.until_ended()
            assert await three.data("busy") == {"reason": "address", "retry_ms": three.retry_ms}
            assert (three.status, len(three.events)) == (200, 1)
            assert 150 <= (three.retry_ms or 0) <= 450
        async with first_event(edge, forwarded="203.0.113.1") as event:
            assert event == "busy"  # anybody can say so
        async with first_event(edge, peer="127.0.0.2") as event:
            assert event == "connect"
        await two.drop()
        await wait_until(lambda: _is_let_in(edge))


async def _is_let_in(edge: Service, forwarded: str = "") -> bool:
    async with first_event(edge, forwarded) as event:
        return event == "connect"


@pytest.mark.anyio
async def test_behind_a_proxy_that_is_trusted_its_word_counts(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, max_connections_per_address=1, trusted_proxies="127.0.0.0/8")
    async with AsyncExitStack() as stack:
        for forwarded in ("203.0.113.1", "203.0.113.2", "203.0.113.1, 203.0.113.3"):
            assert await stack.enter_async_context(first_event(edge, forwarded)) == "connect"
        for forwarded in ("203.0.113.1", "203.0.113.9, 203.0.113.2", "203.0.113.3, 127.0.0.7"):
            assert not await _is_let_in(edge, forwarded)
    await wait_until(lambda: _is_let_in(edge, "203.0.113.1"))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["tailrace edge", GUEST])
async def test_streams_with_one_client_id_are_limited(start_edge: StartEdge, redis_url: str, kind: str) -> None:
    edge = start_edge(redis_url, kind, max_connections_per_client=2)
    ids = [str(uuid.uuid4()) for _ in range(2)]
    async with sse(edge, client_id=ids[0]) as one, sse(edge, client_id=ids[0]) as two, sse(edge, client_id=ids[1]) as other:
        found = [json.loads((await each.next("connect")).data).get("connections") for each in (one, two, other)]
        assert sorted(found, key=str) == [2, None, None]  # the second one is told that it isn't alone
        async with sse(edge, client_id=ids[0]) as three:
            await three.until_ended()
            assert three.status == 200
            assert [(event.event, json.loads(event.data)["reason"]) for event in three.events] == [("busy", "client")]
            assert 150 <= (three.retry_ms or 0) <= 450
        await two.drop()

        async def is_let_in() -> bool:
            async with first_event(edge, client_id=ids[0]) as event:
                return event == "connect"

        await wait_until(is_let_in)


@pytest.mark.anyio
async def test_names_beyond_the_limit_are_refused(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, max_channel_bytes=20)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{edge.url}/sse?channel=room:1234567890&channel=room:2")
    assert (answer.status_code, answer.json()["path"]) == (400, "channel")
    assert answer.json()["message"] == "21 bytes of channel names: 20 are allowed"


TRUSTING = EdgeConfig(max_connections_per_address=1, trusted_proxies=("10.0.0.0/8", "2001:db8::1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (("192.0.2.1", 1), "", "192.0.2.1"),
        (("192.0.2.1", 1), "203.0.113.1", "192.0.2.1"),
        (("10.0.0.1", 1), "203.0.113.1", "203.0.113.1"),
        (("10.0.0.1", 1), "192.0.2.9, 203.0.113.1:8080, 10.1.1.1", "203.0.113.1"),
        (("10.0.0.1", 1), "", "10.0.0.1"),
        (("10.0.0.1", 1), "203.0.113.1, unknown", "10.0.0.1"),
        (("10.0.0.1", 1), "10.0.0.2", "10.0.0.2"),
        (("::ffff:10.0.0.1", 1), "::ffff:203.0.113.1", "203.0.113.1"),
        (("2001:db8::1", 1), "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (("2001:db8::1", 1), "[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        (("2001:db8::2", 1), "203.0.113.1", "2001:db8::/64"),
        (None, "203.0.113.1", ""),
        (("/run/socket", 0), "203.0.113.1", ""),
    ],
)
def test_whose_a_stream_is(peer: tuple[str, int] | None, forwarded: str, address: str) -> None:
    headers = [(b"x-forwarded-for", part.encode()) for part in forwarded.split(", ")]
    assert Addresses(TRUSTING).of(peer, headers) == address
    assert Addresses(EdgeConfig()).of(peer, headers) == ""


def test_a_trusted_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(SetupError, match=r"--trusted-proxies: 'proxy\.example'"):
        Addresses(EdgeConfig(trusted_proxies=("proxy.example",)))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["tailrace edge", GUEST])
async def test_streams_end_at_their_age_and_lose_nothing(start_edge: StartEdge, redis_url: str, log: Log, kind: str) -> None:
    edge = start_edge(redis_url, kind, max_connection_age_s=2)
    clients = [SteadyClient([edge], ["a"]) for _ in range(5)]
    sent: list[int] = []
    async with sse(edge, channel="a") as watched, asyncio.TaskGroup() as group:
        await watched.next("connect")
        began = time.monotonic()
        running = [group.create_task(client.run()) for client in clients]
        await wait_until(lambda: all(client.connects for client in clients))
        while not all(client.connects > 2 for client in clients):
            sent += await log.append("a")
            await wait_until(partial(_all_have, clients, sent[-1]))
        assert time.monotonic() - began > 2  # two lifetimes, each of half the age at least
        assert (await watched.data("drain"))["retry_ms"] == watched.retry_ms
        await watched.until_ended()
        for task in running:
            task.cancel()
    assert all(judge({"a": sent}, client.seen).clean and client.drained and not client.notices for client in clients)


@pytest.mark.anyio
@pytest.mark.parametrize(("age_s", "step_s", "ends"), [(3600, 7200, False), (2, -7200, True)], ids=["forwards", "backwards"])
async def test_a_stream_lasts_as_long_as_it_may_when_the_clock_steps(tmp_path: Path, age_s: float, step_s: int, *, ends: bool) -> None:
    server = ShiftedRedis(tmp_path)
    flags = ("--redis", server.url, "--heartbeat-s", "0.3", "--max-connection-age-s", str(age_s))
    with server, Service("edge", *flags, environ=server.environ) as edge:
        async with sse(edge) as client, sse(edge) as late:
            began = datetime.fromisoformat((await client.data("connect"))["time"])
            server.set_ahead(step_s)
            await late.reconnect()
            stepped = datetime.fromisoformat((await late.data("connect"))["time"]) - began
            assert abs(stepped.total_seconds() - step_s) < 60  # the edge sees the step
            if ends:
                await client.next("drain", timeout_s=2 * age_s)
            else:
                for _ in range(10):  # three seconds, and an edge looks at lifetimes each second
                    await client.next("heartbeat")
                assert "drain" not in {event.event for event in client.events}


def _all_have(clients: list[SteadyClient], number: int) -> bool:
    return all(client.latest.get("a") == number for client in clients)
