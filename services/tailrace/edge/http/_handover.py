"""The server's side of the hand-over: a stream's socket leaves the HTTP protocol once the response's head is sent.

Then no task, parser or request cycle is kept for it. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`).
"""

import asyncio
import sys
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.edge.http._connection import EXTENSION
from tailrace.service import BoundedRequests


class HandoverProtocol(BoundedRequests, HttpToolsProtocol):
    """uvicorn's protocol, which offers its socket to the application, and bounds what a client may ask of it."""

    def begin_request(self) -> None:
        super().begin_request()
        self.scope["extensions"] = {EXTENSION: {"take": partial(self._take, self.cycle)}}
        if self.scope["http_version"] != "1.1":
            self.cycle.send = _send_unchunked(self.cycle)

    def send_400_response(self, msg: str) -> None:
        if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
            self.refuse(HTTPStatus.NOT_IMPLEMENTED)
        else:
            super().send_400_response(msg)

    def _take(self, cycle: RequestResponseCycle, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bool] | None:
        """Hand the socket over, and say whether the body is sent in chunks; None if the head isn't sent yet."""
        transport = self.transport
        if not cycle.response_started or transport.is_closing():
            return None
        self.connections.discard(self)
        self._sockets.leave(transport)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        transport.set_protocol(successor)
        cycle.response_complete = cycle.disconnected = True  # uvicorn takes the request for done
        self.cycle = self.parser = self.transport = None  # type: ignore[assignment]
        return transport, bool(cycle.chunked_encoding)


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
