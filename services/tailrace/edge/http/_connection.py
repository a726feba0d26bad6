"""Where a subscriber's bytes go: a socket of our own, or any ASGI server's `send`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from litestar.types import Receive, Scope, Send

from tailrace.edge._engine import Engine
from tailrace.edge.streams._frames import LAST_CHUNK, PIECE_BYTES
from tailrace.edge.streams._subscriber import Subscriber

EXTENSION = "tailrace.handover"
"""The ASGI extension by which a server offers the socket of a response: `{"take": take(protocol) -> (transport, framed)}`."""


class SocketConnection(asyncio.Protocol):
    """A socket of our own: all that is kept of a connection beside its subscriber."""

    __slots__ = ("_engine", "_gathered", "_subscriber", "_transport", "fd", "framed", "paused", "write")

    def __init__(self, engine: Engine, subscriber: Subscriber) -> None:
        self._engine, self._subscriber = engine, subscriber
        self._transport: asyncio.Transport
        self._gathered = b""
        self.fd = -1
        self.framed = self.paused = False
        self.write: Callable[[bytes | memoryview], None] = _discard

    def begin(self, transport: asyncio.Transport, head: bytes = b"", *, framed: bool) -> None:
        """Take a socket over; what is written in this turn of the loop goes out at its end, after the head if that wasn't sent yet."""
        self._transport, self.framed, self.write = transport, framed, self._gather
        self._gathered = head
        asyncio.get_running_loop().call_soon(self._go_direct)

    def _gather(self, data: bytes | memoryview) -> None:
        if len(self._gathered) + len(data) <= PIECE_BYTES:
            self._gathered += data
        else:
            self._go_direct()
            self._transport.write(data)

    def _go_direct(self) -> None:
        """Let the hub write past the transport, which from now on keeps nothing back while this isn't paused."""
        transport = self._transport
        if transport.is_closing() or self.write != self._gather:
            return
        transport.set_write_buffer_limits(0, 0)
        if transport.get_extra_info("sslcontext") is None:
            self.fd = transport.get_extra_info("socket").fileno()
        self.write = transport.write
        transport.write(self._gathered)
        self._gathered = b""

    def backlog(self) -> int:
        return self._transport.get_write_buffer_size()

    def end(self) -> None:
        self._go_direct()
        if not self._transport.is_closing():
            if self.framed:
                self._transport.write(LAST_CHUNK)
            self._transport.close()
        self._over()

    def cut(self) -> None:
        self._transport.abort()
        self._over()

    def _over(self) -> None:
        """Let nothing follow, though the socket stays open until all is sent and `connection_lost` has been called."""
        self.fd, self.write = -1, _discard

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._engine.make_room(self._subscriber)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._engine.leave(self._subscriber)


def _discard(data: bytes | memoryview) -> None:
    """Write nothing: the stream is over."""


def hand_over(scope: Scope, engine: Engine, subscriber: Subscriber) -> SocketConnection | None:
    """Take the socket of a response whose head was sent; None where the server doesn't offer it, or kept the head back."""
    extensions: dict[str, Any] = scope.get("extensions") or {}
    offer = extensions.pop(EXTENSION, None)
    connection = SocketConnection(engine, subscriber)
    taken = offer["take"](connection) if offer else None
    if taken is None:
        return None
    transport, framed = taken
    connection.begin(transport, framed=framed)
    return connection


async def until_gone(receive: Receive) -> None:
    """Wait until a request's client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


class SendConnection:
    """Keeps at most two pieces, and says so, while the server's `send` waits for a slow client."""

    fd = -1
    framed = False

    def __init__(self, engine: Engine, subscriber: Subscriber) -> None:
        self.paused = False
        self._engine, self._subscriber = engine, subscriber
        self._parts: list[bytes | memoryview] = []
        self._sending = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        if not self._ended:
            self._parts.append(data)
            self.paused = self.backlog() > PIECE_BYTES
            self._wake.set()

    def backlog(self) -> int:
        return self._sending + sum(map(len, self._parts))

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def cut(self) -> None:
        self._parts.clear()
        self.end()
        if self._task is not None:
            self._task.cancel()  # it may wait in `send` for a client that takes nothing

    async def run(self, receive: Receive, send: Send) -> None:
        """Send what is written until the client or the edge ends the stream."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(until_gone(receive))
            self._task = group.create_task(self._send(send))
            await asyncio.wait([watch, self._task], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            self._task.cancel()

    async def _send(self, send: Send) -> None:
        with suppress(OSError, RuntimeError):  # some servers say so, and nothing else, when the client is gone
            await self._send_all(send)

    async def _send_all(self, send: Send) -> None:
        while self._parts or not self._ended:
            if not self._parts:
                self._wake.clear()
                await self._wake.wait()
                continue
            data = b"".join(self._parts)
            self._parts.clear()
            self._sending = len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._sending = 0
            self.paused = self.backlog() > PIECE_BYTES
            if not self.paused:
                self._engine.make_room(self._subscriber)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
