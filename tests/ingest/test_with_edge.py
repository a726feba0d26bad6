"""A client on a real edge: what it is sent, and what ingest says of it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def system() -> Iterator[tuple[str, str]]:
    """The URLs of an edge and of ingest."""
    with RedisServer() as server:
        at = ("--redis", server.url)
        with Service("worker", *at), Service("edge", *at) as edge, Service("ingest", *at) as ingest:
            yield edge.url, ingest.url


async def test_a_connected_client_is_counted_and_gets_what_was_answered(system: tuple[str, str]) -> None:
    edge, ingest = system
    async with httpx.AsyncClient(timeout=20) as http, SSEClient(f"{edge}/sse?channel=room:1") as stream:
        client = (await stream.data("connect"))["id"]
        for to in ("room:1", "all", f"client:{client}"):
            answer = await http.post(f"{ingest}/push", json={"to": to, "event": "note", "data": {"to": to}})
            body = answer.json()
            assert (answer.status_code, body["status"], body["recipients"]) == (200, "success", 1)
            assert await stream.data("note") == body["data"]

    async def away() -> bool:
        body = (await _push(ingest, f"client:{client}")).json()
        return (body["status"], body["recipients"]) == ("info", 0)

    await wait_until(away)


async def _push(ingest: str, to: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{ingest}/push", json={"to": to, "data": 1})
