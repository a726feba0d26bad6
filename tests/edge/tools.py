"""What tests of an edge ask and do over and over."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx
import msgspec

from tailrace.redis import connect
from tests.edge.conftest import Log
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient


def sse(edge: Service, last_event_id: str | None = None, **params: object) -> SSEClient:
    return SSEClient(f"{edge.url}/sse", last_event_id, **params)


@asynccontextmanager
async def log_on(server: RedisServer, shards: int = 1) -> AsyncIterator[Log]:
    client = connect(server.url)
    try:
        yield Log(client, shards)
    finally:
        await client.aclose()


async def readiness(edge: Service) -> tuple[int, dict[str, str]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{edge.url}/readyz")
    return answer.status_code, msgspec.json.decode(answer.content)


async def metric(edge: Service, port: int, name: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(f"tailrace_edge_{name} ")).split()[1])


async def numbers(client: SSEClient, count: int, timeout_s: float = 5) -> list[int]:
    return [(await client.data(timeout_s=timeout_s))["n"] for _ in range(count)]


async def is_in_state(edge: Service, status: int, state: str) -> bool:
    found = await readiness(edge)
    return (found[0], found[1]["state"]) == (status, state)


async def gives(found: Awaitable[object], wanted: object) -> bool:
    return bool(await found == wanted)


class SlowClient:
    """A socket that reads nothing until it is told to."""

    def __init__(self, edge: Service, channel: str) -> None:
        address = urlsplit(edge.url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
        self._socket.connect((address.hostname, address.port))
        self._socket.sendall(f"GET /sse?channel={channel} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        self.text = b""

    async def read_until(self, text: bytes, timeout_s: float = 10) -> None:
        """Read up to some text, or to the end of the stream."""
        self._socket.settimeout(0)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            while text not in self.text[-4096:] and (part := await loop.sock_recv(self._socket, 1 << 12)):
                self.text += part

    def close(self) -> None:
        self._socket.close()


@contextmanager
def crowd(edge: Service, size: int | list[str]) -> Iterator[None]:
    """Hold so many streams open, or one for each query, and read no more of them than their beginnings."""
    address = urlsplit(edge.url)
    with ExitStack() as stack:
        queries = [""] * size if isinstance(size, int) else size
        connections = [stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=5)) for _ in queries]
        for connection, query in zip(connections, queries, strict=True):
            connection.sendall(f"GET /sse?{query} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        for connection in connections:
            connection.settimeout(30)
            connection.recv(64)
        yield
