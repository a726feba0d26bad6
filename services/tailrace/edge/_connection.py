"""Connections over a server's `send`: for any ASGI server that doesn't hand its sockets over."""

import asyncio
from collections.abc import Callable

from litestar.types import Receive, Send

from tailrace.edge._frames import PIECE_BYTES


class SendConnection:
    """Keeps at most two pieces, and says so, while the server's `send` waits for a slow client."""

    framed = False

    def __init__(self, on_room: Callable[[], None]) -> None:
        self.paused = False
        self._on_room = on_room
        self._parts: list[bytes] = []
        self._sending = 0
        self._ended = False
        self._wake = asyncio.Event()

    def write(self, data: bytes) -> None:
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

    async def run(self, receive: Receive, send: Send) -> None:
        """Send what is written until the client or the edge ends the stream."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._until_gone(receive))
            sending = group.create_task(self._send(send))
            await asyncio.wait([watch, sending], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            sending.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut()

    async def _send(self, send: Send) -> None:
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
            self.paused = False
            self._on_room()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
