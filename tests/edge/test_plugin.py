"""The plugin in an application of somebody's own."""

import asyncio
import re
import signal

import httpx
import pytest
from litestar.testing import TestClient

from tailrace.edge import EdgeConfig
from tailrace.wire import SetupError
from tests.edge.conftest import Log
from tests.edge.foreign import Foreign, make_app
from tests.support.redis import RedisServer
from tests.support.wait import wait_until_sync


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hello", 200),
        ("HEAD", "/events", 200),
        ("OPTIONS", "/events", 204),
        ("GET", "/events?channel=", 400),
        ("GET", "/events?channel=user:1", 403),
        ("POST", "/events", 405),
        ("GET", "/sse", 404),
        ("GET", "/healthz", 404),
    ],
)
def test_what_litestar_s_own_client_can_show(redis_url: str, method: str, path: str, status: int) -> None:
    with TestClient(make_app(EdgeConfig(redis=redis_url, path="/events"))) as client:
        assert client.request(method, path).status_code == status


@pytest.mark.anyio
async def test_a_stream_that_ends_by_its_age_is_whole_in_litestar_s_own_client(redis_url: str, log: Log) -> None:
    """That client gives an answer when it has ended."""
    sent = await log.append("a", times=5)
    with TestClient(make_app(EdgeConfig(redis=redis_url, max_connection_age_s=0.5, heartbeat_s=0.1))) as client:
        first = await asyncio.to_thread(client.get, "/sse?channel=a&rewind=3")
        assert _numbers(first) == sent[2:]
        assert [name in first.text for name in ("event: connect", "event: heartbeat", "event: drain")] == [True] * 3
        cursor = first.text.rpartition("\nid: ")[2].partition("\n")[0]
        missed = await log.append("a", times=2)
        again = await asyncio.to_thread(client.get, "/sse?channel=a", headers={"Last-Event-ID": cursor})
        assert _numbers(again) == missed


def _numbers(answer: httpx.Response) -> list[int]:
    return [int(number) for number in re.findall(r'data: \{"n":(\d+)', answer.text)]


def _begins(application: httpx.Client) -> bool:
    with application.stream("GET", "/sse") as stream:
        return "event: connect" in stream.iter_lines()


def test_an_application_starts_without_redis_and_streams_once_it_is_there() -> None:
    """A server can't be stopped while its application starts, and other routes may need no Redis."""
    server = RedisServer()
    with Foreign("uvicorn httptools", {"TAILRACE_REDIS_URL": server.url}) as application, httpx.Client(base_url=application.url) as client:
        assert client.get("/hello").text == "hello"
        put_off = client.get("/sse")
        assert put_off.status_code == 200
        assert re.fullmatch(r':busy\nretry: (\d+)\nevent: busy\ndata: {"reason":"starting","retry_ms":\1}\n\n', put_off.text)
        with server:
            wait_until_sync(lambda: _begins(client))
            assert application.terminate() in (0, -signal.SIGTERM)  # uvicorn gives itself the signal once more


def test_an_application_whose_edge_can_never_work_does_not_start() -> None:
    why = pytest.RaisesExc(SetupError, match="allkeys-lru")
    with RedisServer("valkey", "--maxmemory-policy", "allkeys-lru") as server, pytest.RaisesGroup(why, flatten_subgroups=True):
        TestClient(make_app(EdgeConfig(redis=server.url))).__enter__()
