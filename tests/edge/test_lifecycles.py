"""An edge in somebody's application, whatever makes, forks, starts, stops and mounts that."""

import asyncio
import logging
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar.testing import TestClient as LitestarClient

from tailrace.edge import EdgeApp, EdgeConfig
from tailrace.events import Registry
from tailrace.push import Pusher
from tailrace.redis import connect
from tailrace.wire import Keys, SetupError
from tests.support import hosts
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until

with warnings.catch_warnings(action="ignore"):  # that it wants another httpx
    from starlette.testclient import TestClient as StarletteClient

_MOST = 60
"""Clients among which two processes have each got one, but for once in 10^17."""


@pytest.fixture(scope="module")
def system_url() -> Iterator[str]:
    with RedisServer() as server, Service("worker", "--redis", server.url):
        yield server.url


@pytest.fixture
async def registry(system_url: str) -> AsyncIterator[Registry]:
    """Give a registry that the edges of the last test have left."""
    redis = connect(system_url)
    await redis.delete(Keys().edges())
    yield Registry(redis, Keys())
    await redis.aclose()


async def _edges(registry: Registry) -> set[str]:
    return {client.edge for client in await registry.clients()}


async def _fill(stack: AsyncExitStack, url: str, registry: Registry, size: int) -> dict[str, SSEClient]:
    """Open streams until so many edges have some."""
    clients: dict[str, SSEClient] = {}
    while len(await _edges(registry)) < size or len(clients) < 2 * size:
        assert len(clients) < _MOST, f"{_MOST} clients are on {len(await _edges(registry))} edges"
        name = str(uuid4())
        clients[name] = await stack.enter_async_context(SSEClient(url, client_id=name, channel="room"))
        await clients[name].next("connect")
        await wait_until(lambda: _is_registered(registry, len(clients)))
    return clients


async def _is_registered(registry: Registry, count: int) -> bool:
    return len(await registry.clients()) == count


@pytest.mark.anyio
@pytest.mark.parametrize("app", ["plugin", "fastapi"])
@pytest.mark.parametrize("server", hosts.SERVERS)
async def test_each_process_of_a_server_is_an_edge_of_its_own(
    server: str, app: str, system_url: str, registry: Registry, tmp_path: Path
) -> None:
    with hosts.served(server, app, system_url, tmp_path / "log") as url:
        async with AsyncExitStack() as stack:
            clients = await _fill(stack, url + hosts.PATHS[app], registry, 2)
            assert len(await _edges(registry)) == 2
            pusher = await stack.enter_async_context(Pusher(system_url))
            for name, client in clients.items():
                await _reaches(pusher, f"client:{name}", {name: client})
            await _reaches(pusher, "room", clients)
        assert "Traceback" not in (tmp_path / "log").read_text()


async def _reaches(pusher: Pusher, channel: str, clients: dict[str, SSEClient]) -> None:
    """Push to a channel, and see that these clients, and no others, count and get it."""
    end = await (await pusher.push(channel, {"to": channel})).receipt(wait_s=10)
    assert end
    assert (end.receipts[0].status, end.receipts[0].recipients) == ("success", len(clients))
    for client in clients.values():
        assert (await client.data())["to"] == channel


@pytest.mark.anyio
@pytest.mark.parametrize("app", ["starlette", "bare", "nested"])
async def test_each_way_to_start_an_edge_streams(app: str, system_url: str, registry: Registry, tmp_path: Path) -> None:
    with hosts.served("gunicorn --preload", app, system_url, tmp_path / "log") as url:
        async with AsyncExitStack() as stack:
            clients = await _fill(stack, url + hosts.PATHS[app], registry, 2)
            await _reaches(await stack.enter_async_context(Pusher(system_url)), "room", clients)
        await wait_until(lambda: _is_registered(registry, 0))  # that they have left is noticed
        assert "Traceback" not in (tmp_path / "log").read_text()


def _short(redis_url: str) -> EdgeConfig:
    """Configure streams that end soon: a test client gives an answer when it has ended."""
    return EdgeConfig(redis=redis_url, max_connection_age_s=0.2, drain_s=1)


def _client(app: Any) -> Any:
    return LitestarClient(app) if isinstance(app, Litestar) else StarletteClient(app)


@pytest.mark.parametrize("app", hosts.PATHS)
def test_an_application_that_ended_streams_when_it_is_started_again(app: str, redis_url: str) -> None:
    made = getattr(hosts, app)(_short(redis_url))
    for _ in range(3):
        with _client(made) as client:
            assert "event: connect" in client.get(hosts.PATHS[app]).text


@asynccontextmanager
async def _started(app: Any) -> AsyncIterator[None]:
    inner: AbstractAsyncContextManager[Any] = app.lifespan() if isinstance(app, Litestar | EdgeApp) else app.router.lifespan_context(app)
    async with inner:
        yield


async def _ask(app: Any, path: str) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client:
        return (await client.get(path)).text


@pytest.mark.parametrize("app", hosts.PATHS)
def test_an_application_streams_in_one_loop_after_another(app: str, redis_url: str) -> None:
    made = getattr(hosts, app)(_short(redis_url))

    async def ask() -> str:
        async with _started(made):
            return await _ask(made, hosts.PATHS[app])

    for _ in range(3):
        assert "event: connect" in asyncio.run(ask())


@pytest.mark.parametrize("app", ["fastapi", "bare"])
def test_an_application_that_runs_can_not_be_started_a_second_time(app: str, redis_url: str) -> None:
    made = getattr(hosts, app)(_short(redis_url))

    async def start_twice() -> None:
        async with _started(made):
            with pytest.raises(SetupError, match="already runs in this process: give each application its own"):
                await AsyncExitStack().enter_async_context(_started(made))
            assert "event: connect" in await _ask(made, hosts.PATHS[app])

    asyncio.run(start_twice())


def _mounted_without_lifespan(redis_url: str) -> FastAPI:
    app = FastAPI()
    app.mount("/rt", hosts.plugin(_short(redis_url)))  # type: ignore[arg-type]  # Litestar's own ASGI types
    app.mount("/events", EdgeApp(_short(redis_url)))
    return app


@pytest.mark.parametrize("path", ["/rt/sse", "/events/"])
def test_an_edge_that_nothing_starts_says_once_what_to_do(redis_url: str, caplog: pytest.LogCaptureFixture, path: str) -> None:
    with StarletteClient(_mounted_without_lifespan(redis_url)) as client:
        answers = [client.get(path) for _ in range(3)]
    assert [(answer.status_code, answer.text.startswith(":busy\n")) for answer in answers] == [(200, True)] * 3
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.levelname == "ERROR"
    assert "use EdgeApp, and pass its `lifespan` to the outer application" in line.getMessage()


@pytest.mark.parametrize("app", ["plugin", "bare"])
def test_an_edge_that_can_never_work_ends_the_start(app: str) -> None:
    why = pytest.RaisesExc(SetupError, match="allkeys-lru")
    with RedisServer("valkey", "--maxmemory-policy", "allkeys-lru") as server:
        made = getattr(hosts, app)(_short(server.url))
        with pytest.RaisesGroup(why, flatten_subgroups=True, allow_unwrapped=True):
            _client(made).__enter__()


@pytest.mark.parametrize("app", ["plugin", "starlette", "bare"])
def test_a_websocket_is_refused(app: str, redis_url: str) -> None:
    sent: list[Any] = []

    async def ask(made: Callable[..., Any]) -> None:
        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        scope = {"type": "websocket", "path": hosts.PATHS[app], "raw_path": hosts.PATHS[app].encode(), "query_string": b"", "headers": []}
        async with _started(made):
            await made({**scope, "root_path": "", "subprotocols": [], "scheme": "ws", "client": None, "server": None}, receive, send)

    asyncio.run(ask(getattr(hosts, app)(_short(redis_url))))
    assert sent[-1] == "websocket.close"


_FORKED = """
import gc, multiprocessing, sys
from litestar.testing import TestClient
from tailrace.edge import EdgeConfig
from tests.support import hosts

def ask():
    gc.collect()  # the parent's sockets stay as they are
    with TestClient(app) as client:
        assert "event: connect" in client.get("/sse").text

app = hosts.plugin(EdgeConfig(redis=sys.argv[1], max_connection_age_s=0.2))
with TestClient(app) as client:
    assert "event: connect" in client.get("/sse").text
    for _ in range(3):
        child = multiprocessing.get_context("fork").Process(target=ask)
        child.start()
        child.join()
        assert child.exitcode == 0
        assert "event: connect" in client.get("/sse?channel=a&rewind=1").text
"""


def test_a_child_forked_while_an_edge_runs_runs_one_of_its_own(redis_url: str) -> None:
    done = subprocess.run([sys.executable, "-c", _FORKED, redis_url], capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stderr) == (0, "")
