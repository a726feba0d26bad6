"""The server's side of the hand-over: a stream's socket leaves the HTTP protocol once the response's head is sent.

Then no task, parser or request cycle is kept for it. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`).
"""

import asyncio
import math
import sys
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.edge._connection import EXTENSION

HEAD_BYTES = 64 << 10
"""Most bytes of a request's head, and of its trailers."""
_NO_HEAD = -1
_LINGER_S = 2


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


class HandoverProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which offers its socket to the application, and bounds what a client may ask of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since = self.loop.time()
        """Since when the rest of a request's head is missing, in the loop's time; infinite if none is."""
        self._head_left = HEAD_BYTES

    def data_received(self, data: bytes) -> None:
        """Read a head in parts, for the parser would gather one of any size."""
        if self._head_left == _NO_HEAD:
            super().data_received(data)
            return
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        super().data_received(head)
        if self._head_left == 0:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif rest and not self.transport.is_closing():
            super().data_received(rest)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.waits_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Begin a request; one that comes before the answer to the last gets none, and may be sent again (RFC 9112, 9.3.2)."""
        self._head_left, self.waits_since = _NO_HEAD, math.inf
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]
            self.cycle.keep_alive = False
            return
        super().on_headers_complete()
        self.cycle.transport = _Joining(self.transport)  # type: ignore[assignment]
        self.scope["extensions"] = {EXTENSION: {"take": partial(self._take, self.cycle)}}
        if self.scope["http_version"] != "1.1":
            self.cycle.send = _send_unchunked(self.cycle)  # type: ignore[method-assign]

    def on_chunk_header(self) -> None:
        self._head_left = HEAD_BYTES  # data follows or, after the last chunk, trailers

    def on_body(self, body: bytes) -> None:
        self._head_left = _NO_HEAD
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head_left = HEAD_BYTES

    def send_400_response(self, msg: str) -> None:
        if isinstance(sys.exception(), httptools.HttpParserInvalidMethodError):
            self._refuse(HTTPStatus.NOT_IMPLEMENTED)
        else:
            super().send_400_response(msg)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer and end, but read on for a while: a socket closed with bytes unread takes its answer back."""
        transport = self.transport
        self.connection_lost(ConnectionAbortedError())  # for whoever still answers
        transport.set_protocol(asyncio.Protocol())
        transport.write(b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % (status, status.phrase.encode()))
        transport.write_eof()
        self.loop.call_later(_LINGER_S, transport.abort)

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
