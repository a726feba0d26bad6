"""One stream at the least cost, so that one process of a test can read thousands: a socket, httptools, and blocks of SSE."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import SplitResult

import httptools

_CONNECT_S = 30


class Block(NamedTuple):
    """An SSE block; what it doesn't have is empty."""

    event: str
    id: str
    data: bytes
    retry: bytes


class Stream(asyncio.Protocol):
    """Sends one request, and gives each block of the answer to `take`."""

    def __init__(self, request: bytes, take: Callable[[Block], None]) -> None:
        self._request, self._take = request, take
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.status = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the answer or the connection ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's isn't one by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        *blocks, self._rest = (self._rest + body).split(b"\n\n")
        for block in blocks:
            self._take(read_block(block))

    def on_message_complete(self) -> None:
        self.cut()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def stall(self, *, stalled: bool) -> None:
        """Read nothing more, or go on."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if stalled else self._transport.resume_reading)()

    def cut(self) -> None:
        """End the connection, as a lost network does; what had come and wasn't read is gone."""
        if self._transport is not None:
            self._transport.abort()


def read_block(text: bytes) -> Block:
    """Read a block as our encoder writes it."""
    fields = {b"event": b"", b"id": b"", b"data": b"", b"retry": b""}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b": ")
        fields[name] = fields[name] + b"\n" + value if name == b"data" and fields[name] else value
    return Block(fields[b"event"].decode(), fields[b"id"].decode(), fields[b"data"], fields[b"retry"])


async def open_stream(
    url: SplitResult, request: bytes, take: Callable[[Block], None], *, authority: Path | None = None, receive_bytes: int = 0
) -> Stream:
    """Connect, with a receive buffer of so many bytes if any are given. Raises OSError, TimeoutError."""
    loop, stream = asyncio.get_running_loop(), Stream(request, take)
    connection = socket.socket()
    try:
        connection.setblocking(False)  # noqa: FBT003
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        context, name = (_context(authority), url.hostname) if url.scheme == "https" else (None, None)
        host = "127.0.0.1" if url.hostname == "localhost" else url.hostname
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_connect(connection, (host, url.port))
            await loop.create_connection(lambda: stream, sock=connection, ssl=context, server_hostname=name)
    except BaseException:
        connection.close()
        raise
    return stream


@cache
def _context(authority: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)
