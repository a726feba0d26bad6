"""The proxies' configurations in docs/proxies do what the stream needs."""

import re
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import httpx
import httpx_sse
import pytest

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tests.support.dns import NameServer
from tests.support.ports import free_port
from tests.support.proxy import Proxy, caddy, loopback, nginx
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.steady import SteadyClient, at
from tests.support.wait import wait_until
from tests.system.checker import judge

pytestmark = pytest.mark.anyio
CLIENTS, EVENTS = 20, 100


@dataclass
class Site:
    proxy: Proxy
    edges: list[Service]
    metrics: list[str]

    @property
    def url(self) -> str:
        return self.proxy.url

    async def connections(self) -> list[int]:
        """How many streams each edge holds."""
        async with httpx.AsyncClient() as http:
            texts = [(await http.get(url)).text for url in self.metrics]
        return [int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("tailrace_edge_connections ")]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=["caddy", "nginx"])
def running(request: pytest.FixtureRequest, redis: RedisServer) -> Iterator[Site]:
    """Two edges behind a proxy, at one port of two addresses."""
    hosts, port, metrics = loopback(2), free_port(), free_port()
    settings = ("--redis", redis.url, "--port", str(port), "--metrics-port", str(metrics), "--retry-ms", "100", "--drain-s", "1")
    edges = [Service("edge", "--host", host, *settings) for host in hosts]
    with ExitStack() as stack:
        if request.param == "caddy":
            names = stack.enter_context(NameServer({"edge": hosts}))
            proxy = caddy(names.address, {"edge": port})
        else:
            proxy = nginx([f"{host}:{port}" for host in hosts])
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, [*edges, proxy]))
        yield Site(proxy, edges, [f"http://{host}:{metrics}/metrics" for host in hosts])


@pytest.fixture
def site(running: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give both edges running again, whatever the test before did to them: a proxy has to find out by itself."""
    monkeypatch.setenv("SSL_CERT_FILE", str(running.proxy.authority))
    for edge in running.edges:
        if edge.returncode is not None:
            edge.start()
    return running


@dataclass
class Log:
    writer: LogWriter
    room: str
    sent: list[float] = field(default_factory=list)
    """When each event was appended."""

    async def append(self, count: int, pause_s: float = 0.02) -> None:
        for _ in range(count):
            number = len(self.sent)
            self.sent.append(time.monotonic())
            await self.writer.append([NewEvent(str(number), self.room, encode_json_block("message", b'{"n":%d}' % number))])
            await anyio.sleep(pause_s)


@pytest.fixture
async def log(redis: RedisServer) -> AsyncIterator[Log]:
    """Give a log, and a room of the test's own."""
    client = connect(redis.url)
    yield Log(LogWriter(client, Keys(), 0, None), f"room:{uuid.uuid4()}")
    await client.aclose()


async def test_events_pass_at_once_over_http2(site: Site, log: Log) -> None:
    delays: list[float] = []
    async with (
        httpx.AsyncClient(http2=True, timeout=10) as http,
        httpx_sse.aconnect_sse(http, "GET", f"{site.url}/sse", params={"channel": log.room}) as source,
        anyio.create_task_group() as group,
    ):
        async for event in source.aiter_sse():
            if event.event == "connect":
                group.start_soon(log.append, EVENTS)
            elif event.event == "message" and event.data:
                delays.append(time.monotonic() - log.sent[event.json()["n"]])
            if len(delays) == EVENTS:
                break
    assert source.response.http_version == "HTTP/2"
    assert source.response.headers["content-type"].startswith("text/event-stream")
    assert max(delays) < 1
    print(f"{EVENTS} events, one at a time: p50 {statistics.median(delays) * 1000:.1f} ms, most {max(delays) * 1000:.1f} ms")


async def test_a_client_that_leaves_leaves_the_edge_too(site: Site) -> None:
    async with httpx.AsyncClient() as http, httpx_sse.aconnect_sse(http, "GET", f"{site.url}/sse") as source:
        events = source.aiter_sse()  # kept, since httpx closes a stream whose iterator is gone
        async for event in events:
            if event.event == "connect":
                break
        assert sum(await site.connections()) == 1
    await wait_until(lambda: _nobody(site), timeout_s=2)


async def _nobody(site: Site) -> bool:
    return sum(await site.connections()) == 0


@pytest.mark.parametrize("end", ["killed", "drained"])
async def test_clients_of_an_edge_that_ends_go_on_at_the_other(site: Site, log: Log, end: str) -> None:
    clients = [SteadyClient([site.proxy], [log.room]) for _ in range(CLIENTS)]
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in clients))
        spread = await site.connections()
        victim = site.edges[spread.index(max(spread))]
        group.start_soon(at, 0.5, victim.kill if end == "killed" else victim.terminate)
        await log.append(EVENTS)
        await wait_until(lambda: all(client.has({log.room: range(EVENTS)}) for client in clients), timeout_s=15)
        group.cancel_scope.cancel()
    async with httpx.AsyncClient() as http:
        fresh = [await _served(site, http) for _ in range(CLIENTS)]
    verdicts = [judge({log.room: range(EVENTS)}, client.seen) for client in clients]
    lost, doubled = sum(len(verdict.lost) for verdict in verdicts), sum(len(verdict.doubled) for verdict in verdicts)
    reconnects = sum(client.connects for client in clients) - CLIENTS
    print(f"{end}: streams {spread}, {reconnects} reconnects, lost {lost}, doubled {doubled} of {EVENTS * CLIENTS}")
    assert all(fresh), "the proxy did not try the other edge"
    assert [verdict for verdict in verdicts if not verdict.clean] == []
    assert [client.notices for client in clients if client.notices] == []
    assert [client.refusals for client in clients if client.refusals] == []


async def test_without_any_edge_a_stream_says_when_to_come_back(site: Site) -> None:
    for edge in site.edges:
        edge.kill()
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await http.get(f"{site.url}/sse", headers={"Origin": "https://www.example.org"}))

    async with httpx.AsyncClient(timeout=10) as http:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
        site.edges[1].start()
        await wait_until(lambda: _served(site, http))
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "https://www.example.org"
        busy = re.fullmatch(r':busy\nretry: (\d{4})\nevent: busy\ndata: {"reason":"away","retry_ms":\1}\n\n', answer.text)
        assert busy, answer.text
        assert 3000 <= int(busy[1]) < 10_000
    assert len({answer.text for answer in answers}) > 1
    slowest_s = max(answer.elapsed.total_seconds() for answer in answers)
    print(f"without any edge: {[answer.text.strip() for answer in answers]} after {slowest_s:.1f} s at most")


async def _served(site: Site, http: httpx.AsyncClient) -> bool:
    async with httpx_sse.aconnect_sse(http, "GET", f"{site.url}/sse") as source:
        async for event in source.aiter_sse():
            if event.event == "connect":
                return True
    return False


LONG = [f"room:{number:0122d}" for number in range(100)]


@pytest.mark.parametrize("length", [75, 127])
async def test_a_hundred_long_channels_pass(site: Site, length: int) -> None:
    channels = [name[-length:] for name in LONG]
    async with httpx.AsyncClient(http2=True, timeout=10) as http, httpx_sse.aconnect_sse(http, "GET", f"{site.url}/sse") as other:
        beside = other.aiter_sse()
        assert (await _first(beside)).event == "connect"
        params = [("channel", name) for name in channels]
        async with httpx_sse.aconnect_sse(http, "GET", f"{site.url}/sse", params=params) as source:
            assert source.response.status_code == 200
            events = source.aiter_sse()
            assert (await _first(events)).json()["channels"][:100] == channels
        too_long = await http.get(f"{site.url}/sse?x={'x' * 33_000}")
        assert (too_long.status_code, too_long.text) == (431, "")
        fits = await http.get(f"{site.url}/sse?x={'x' * 31_000}&channel=%20")
        assert fits.status_code == 400
        assert fits.http_version == "HTTP/2"
        assert "channel" in fits.json()["message"]
        assert not other.response.is_closed
        assert await _served(site, http)


async def _first(events: AsyncIterator[httpx_sse.ServerSentEvent]) -> httpx_sse.ServerSentEvent:
    async for event in events:
        if event.data:
            return event
    raise AssertionError("the stream ended without an event")
