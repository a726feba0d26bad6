"""The server's side of the hand-over: a stream's socket leaves the HTTP protocol once the response's head is sent.

Then no task, parser or request cycle is kept for it. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`).
"""

import asyncio
import sys
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.cli import BoundedRequests
from tailrace.edge._connection import EXTENSION


class _Joining:
    """A transport, as a request cycle uses it, that sends an answer's head together with what follows in the same turn of the loop.

    A write to a socket is the dearest part of an answer.
    """

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self.is_closing = transport, transport.is_closing
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Keep the head, which is written first; send all else at once."""
        if self._head is None:
            self._head = data
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._transport.write(self.take() + data)

    def take(self) -> bytes:
        """Return what is kept, to be sent by who takes it."""
        head, self._head = self._head or b"", b""
        return head

    def _flush(self) -> None:
        if self._head and not self.is_closing():
            self._transport.write(self.take())

    def close(self) -> None:
        self._flush()
        self._transport.close()


class HandoverProtocol(BoundedRequests, HttpToolsProtocol):
    """uvicorn's protocol, which offers its socket to the application, and bounds what a client may ask of it."""

    def begin_request(self) -> None:
        super().begin_request()
        self.cycle.transport = _Joining(self.transport)
        self.scope["extensions"] = {EXTENSION: {"take": partial(self._take, self.cycle)}}
        if self.scope["http_version"] != "1.1":
            self.cycle.send = _send_unchunked(self.cycle)

    def send_400_response(self, msg: str) -> None:
        if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
            self.refuse(HTTPStatus.NOT_IMPLEMENTED)
        else:
            super().send_400_response(msg)

    def _take(self, cycle: RequestResponseCycle, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bool, bytes] | None:
        """Hand the socket over, and say whether the body is sent in chunks, and what has to be sent first; None if there is no head yet."""
        transport, joining = self.transport, cast("_Joining", cycle.transport)
        if not cycle.response_started or transport.is_closing():
            return None
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        transport.set_protocol(successor)
        cycle.response_complete = cycle.disconnected = True  # uvicorn takes the request for done
        self.cycle = self.parser = self.transport = None  # type: ignore[assignment]
        return transport, bool(cycle.chunked_encoding), joining.take()


def _send_unchunked(cycle: RequestResponseCycle) -> Any:
    """Return a `send` for clients of HTTP/1.0, which know no chunks: a body without a length ends with its connection."""
    unbounded = False

    async def send(message: Any) -> None:
        nonlocal unbounded
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            unbounded = all(name.lower() != b"content-length" for name, _ in headers)
            cycle.chunked_encoding = False if unbounded else None
            message = {**message, "headers": headers}
        elif unbounded:
            cycle.expected_content_length = len(message.get("body", b""))  # or uvicorn would call it too long
        await RequestResponseCycle.send(cycle, message)

    return send
