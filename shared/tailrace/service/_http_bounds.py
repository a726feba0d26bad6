"""Bounds on requests: the size of their heads and trailers, and the time that clients take to send them.

uvicorn has none. It isn't imported here, since producers don't install it: `BoundedRequests` is mixed in before its protocol.
"""

import asyncio
import logging
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from tailrace.service._sockets import Sockets

HEAD_BYTES = 32 << 10
"""Most bytes in a request's head, and in its trailers."""
MAX_FIELDS = 128
"""Most header fields in a request; each costs about 200 bytes of memory besides its own."""
HEAD_S = 10.0
"""Seconds a client has to send a request's head, and to begin one on a new connection."""
_NO_HEAD = -1
_PIECE_BYTES = 64 << 10
"""Most bytes of a body parsed at once, since that many bytes of the next head may follow it uncounted."""
_FIELD_BYTES = 200
_LINGER_S = 2
logger = logging.getLogger(__name__)


class _Awaited(Enum):
    """What the client sends next."""

    REQUEST = auto()
    HEAD = auto()
    BODY = auto()


_REFUSAL = b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\nx-content-type-options: nosniff\r\n\r\n"


class _Lingering(asyncio.Protocol):
    """Discards what a refused client still sends, until the socket closes."""

    def __init__(self, sockets: Sockets, transport: asyncio.Transport) -> None:
        self._sockets, self._transport = sockets, transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._sockets.leave(self._transport)


class BoundedRequests(asyncio.Protocol):
    """Answers 431 (RFC 6585, 5) to a head that is too large, which httptools would buffer, and 408 (RFC 9110, 15.5.9) to a slow client.

    A pipelined request gets no answer; the client may send it again (RFC 9112, 9.3.2).
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    def __init__(self, *args: Any, sockets: Sockets, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sockets = sockets
        self._head_left = HEAD_BYTES
        self._fields = 0
        self._deaf = False
        """Whether to stop reading: the connection closes, after the answer that is under way if there is one."""
        self._unsent = 0
        self._await(_Awaited.REQUEST)

    def begin_request(self) -> None:
        """Start answering the request whose head is complete."""
        super().on_headers_complete()  # type: ignore[misc]  # uvicorn's, here and below

    def refuse(self, status: HTTPStatus) -> None:
        """Answer and close, but keep reading briefly: closing a socket with unread bytes resets it, and the answer is lost."""
        if self._is_answering():
            self._end_with_answer()
            return
        self._deaf, transport = True, self.transport
        super().connection_lost(ConnectionAbortedError())  # tells the application, which may still be answering
        self._sockets.serve(transport)
        transport.set_protocol(_Lingering(self._sockets, transport))
        transport.write(_REFUSAL % (status, status.phrase.encode()))
        transport.write_eof()
        self.loop.call_later(_LINGER_S, transport.abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's signature
        """Answer a request that can't be parsed."""
        self.refuse(HTTPStatus.BAD_REQUEST)

    def end_if_slow(self, body_s: float | None) -> None:
        """Close the connection if its client is slow to send a request or to read an answer. Call it about once a second."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        in_body = self._awaited is _Awaited.BODY
        if self._is_answering() or unsent < self._unsent:
            self._since = now
        elif now - self._since > (body_s if body_s is not None and (in_body or unsent) else HEAD_S):
            if unsent or self._awaited is _Awaited.REQUEST or (in_body and self.cycle.response_started):
                self.transport.abort()
            else:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        self._unsent = unsent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._sockets.enter(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sockets.leave(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse in pieces, since the parser would buffer a head of any size."""
        start = 0
        while start < len(data) and self._reads():
            counted = self._head_left != _NO_HEAD
            piece = data[start : start + (self._head_left if counted else _PIECE_BYTES)]
            start += len(piece)
            if counted:
                self._head_left -= len(piece)
            super().data_received(piece)
            if self._reads() and (self._head_left == 0 or self._fields > MAX_FIELDS):
                self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._awaited is _Awaited.HEAD and self._reads():
            self._sockets.hold(self.transport, HEAD_BYTES - self._head_left + _FIELD_BYTES * self._fields)

    def on_message_begin(self) -> None:
        super().on_message_begin()  # type: ignore[misc]
        self._fields = 0
        self._await(_Awaited.HEAD)
        if not self._is_answering():
            self._sockets.wait(self.transport)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field; those of trailers are dropped, as RFC 9110 (6.5.1) allows, and never stand among the head's."""
        self._fields += 1
        if self._fields <= MAX_FIELDS and self._awaited is _Awaited.HEAD:
            super().on_header(name, value)  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        if self._fields > MAX_FIELDS:
            return
        self._head_left = _NO_HEAD
        self._await(_Awaited.BODY)
        if self._is_answering():
            self._end_with_answer()
        else:
            self._sockets.serve(self.transport)
            self.begin_request()

    def on_chunk_header(self) -> None:
        self._head_left = HEAD_BYTES  # data follows or, after the last chunk, trailers

    def on_body(self, body: bytes) -> None:
        if self._awaited is not _Awaited.BODY:  # of a request with too many fields
            return
        self._head_left = _NO_HEAD
        if not self._deaf:
            super().on_body(body)  # type: ignore[misc]

    def on_message_complete(self) -> None:
        if self._awaited is not _Awaited.BODY:
            return
        super().on_message_complete()  # type: ignore[misc]
        self._head_left = HEAD_BYTES
        self._await(_Awaited.REQUEST)

    def on_response_complete(self) -> None:
        """Drop references to the answered request while the connection waits for the next one."""
        if self._awaited is not _Awaited.HEAD:  # of the next one, which has begun
            protocol: Any = self  # whose attributes uvicorn declares
            protocol.scope = protocol.headers = protocol.cycle.scope = None
            protocol.url = b""
        self._sockets.wait(self.transport)
        super().on_response_complete()  # type: ignore[misc]

    def _await(self, what: _Awaited) -> None:
        self._awaited, self._since = what, self.loop.time()

    def _is_answering(self) -> bool:
        """Return whether a complete request awaits the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _reads(self) -> bool:
        return not self._deaf and not self.transport.is_closing()

    def _end_with_answer(self) -> None:
        self._deaf, self.cycle.keep_alive = True, False


def end_slow(connections: Iterable[object], body_s: float | None = None) -> None:
    """Close connections of slow clients. A request's body may take `body_s` seconds; None: as long as a head."""
    for connection in list(connections):
        if isinstance(connection, BoundedRequests):
            connection.end_if_slow(body_s)
