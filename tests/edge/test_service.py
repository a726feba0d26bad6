"""`tailrace edge` as a process, and what it serves beside the stream."""

import re
import signal
import time
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tailrace.edge import EdgeConfig
from tailrace.edge._limits import most_connections
from tailrace.events import LEASE_S
from tests.edge.conftest import Log, StartEdge
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


async def test_page_health_and_metrics(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    port = free_port()
    edge = start_edge(redis_url, metrics_port=port)
    async with httpx.AsyncClient(base_url=edge.url) as client, SSEClient(f"{edge.url}/sse") as stream:
        await stream.next("connect")
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        stream_url = re.findall(r'new EventSource\("(.*)\?"', page.text)[0]
        assert urljoin("https://example.org/below/a/prefix/", stream_url) == "https://example.org/below/a/prefix/sse"
        assert (await client.head(urljoin(f"{edge.url}/", stream_url))).headers["content-type"].startswith("text/event-stream")
        assert "http" not in page.text.replace("http://www.w3.org/2000/svg", "")  # nothing from elsewhere
        assert (await client.get("/healthz")).json() == {"state": "alive"}
        assert (await client.get("/readyz")).json() == {"state": "ready"}
        assert (await client.get("/metrics")).status_code == 404
        await log.append("all")
        await stream.next()
        figures = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert "\ntailrace_edge_connections 1\n" in figures
    assert "\ntailrace_edge_events_total 1\n" in figures
    assert "\ntailrace_edge_deliveries_total 1\n" in figures
    assert '\ntailrace_edge_ring_entries{shard="0"} 1\n' in figures
    for line in figures.strip().splitlines():
        assert line.startswith(("# HELP tailrace_edge_", "# TYPE tailrace_edge_", "tailrace_edge_"))


async def test_errors_elsewhere_have_the_contracts_shape(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url)
    async with httpx.AsyncClient(base_url=edge.url) as client:
        missing, forbidden, asked_after = await client.get("/nowhere"), await client.post("/healthz"), await client.head("/healthz")
    assert (missing.status_code, missing.json()) == (
        404,
        {"status": "error", "message": "there is nothing here: streams are at /sse", "path": "$"},
    )
    assert (asked_after.status_code, asked_after.content) == (200, b"")
    assert (forbidden.status_code, forbidden.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert forbidden.json() == {"status": "error", "message": "Method Not Allowed", "path": "$"}


async def test_host_port_and_level_are_variables_too(redis_url: str) -> None:
    port = str(free_port())
    with Service("edge", "--redis", redis_url, "--port", port, environ={"TAILRACE_PORT": "1", "TAILRACE_HOST": "127.0.0.2"}) as edge:
        assert edge.url == f"http://127.0.0.2:{port}"
    with pytest.raises(RuntimeError, match="TAILRACE_LOG_LEVEL: Invalid enum value 'loud'"):
        Service("edge", "--redis", redis_url, environ={"TAILRACE_LOG_LEVEL": "loud"}).start()


async def test_a_taken_port_is_named(start_edge: StartEdge, redis_url: str) -> None:
    port = str(urlsplit(start_edge(redis_url).url).port)
    with pytest.raises(RuntimeError, match=rf"--port: port {port} on 127.0.0.1 is taken"):
        Service("edge", "--redis", redis_url, "--port", port).start()


async def test_a_redis_that_evicts_is_refused(start_edge: StartEdge) -> None:
    with (
        RedisServer("valkey", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(RuntimeError, match="maxmemory-policy is 'allkeys-lru'"),
    ):
        start_edge(server.url)


async def test_an_edge_that_fails_says_so_in_its_status(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    await log.append("a")
    await log.redis.hset(log.keys.generations(0), "past", "what no script of ours writes")  # type: ignore[misc]
    await wait_until(lambda: edge.returncode == 1)
    assert "the edge failed" in edge.stderr


async def test_works_on_the_oldest_redis(any_redis_url: str, start_edge: StartEdge) -> None:
    edge = start_edge(any_redis_url)
    async with SSEClient(f"{edge.url}/sse?channel=a") as client:
        assert (await client.next("connect")).id
        await wait_until(lambda: any(event.event == "heartbeat" for event in client.events))


async def test_the_file_limit_leaves_room() -> None:
    assert most_connections() > 100


async def test_an_edge_without_events_sleeps(start_edge: StartEdge, redis_url: str) -> None:
    """It asks Redis, and writes a new Date, now and then; it doesn't look ten times a second whether there is anything to do."""
    edge = start_edge(redis_url, heartbeat_s=30, registry_lease_s=15)

    def sleeps() -> int:
        status = Path(f"/proc/{edge.pid}/status").read_text()
        return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[0])

    async with SSEClient(f"{edge.url}/sse") as client:
        await client.next("connect")
        await wait_until(lambda: client.headers["date"] != formatdate(usegmt=True))  # what a client brings is over
        began, before = time.monotonic(), sleeps()
        await wait_until(lambda: time.monotonic() > began + 2)
        assert (sleeps() - before) / (time.monotonic() - began) < 10  # about 5, and 17 where it did
        async with httpx.AsyncClient() as other:
            assert (await other.get(f"{edge.url}/healthz")).headers["date"] != client.headers["date"]


async def test_defaults() -> None:
    config = EdgeConfig()
    assert (config.heartbeat_s, config.drain_s, config.max_channels, config.registry_lease_s) == (30, 20, 100, LEASE_S)


@pytest.mark.parametrize("command", ["edge", "ingest", "console"])
async def test_requests_to_upgrade_are_answered_over_http_and_logged_once(redis_url: str, command: str) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    flags = () if command == "console" else ("--redis", redis_url)
    with Service(command, *flags) as service:
        async with httpx.AsyncClient(base_url=service.url) as client:
            answers = [await client.get("/healthz", headers=upgrade) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert service.terminate() in (0, -signal.SIGTERM)
        warnings = [line for line in service.stderr.splitlines() if '"level":"warning"' in line]
    assert len(warnings) == 1
    assert "malformed or unsupported HTTP requests" in warnings[0]
