"""Bounds for the requests that a server takes: how large their heads and trailers are, and how long they may take to come.

uvicorn has none. It isn't imported here, for a producer has no use for it: `BoundedRequests` is mixed in before its protocol.
"""

import asyncio
import logging
import math
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

HEAD_BYTES = 64 << 10
"""Most bytes of a request's head, and of its trailers."""
HEAD_S = 10.0
"""Seconds that a client may take to send a request's head, and to begin one on a new connection."""
_NO_HEAD = -1
_LINGER_S = 2
UPGRADE_LOG_S = 60.0
"""Least time between two lines about clients that ask to upgrade to WebSocket."""
logger = logging.getLogger(__name__)


class _Awaited(Enum):
    """What a client is to send next."""

    REQUEST = auto()
    HEAD = auto()
    BODY = auto()


class BoundedRequests(asyncio.Protocol):
    """Answers 431 (RFC 6585, 5) where httptools would gather a head of any size, and 408 (RFC 9110, 15.5.9) for what doesn't come.

    A request that comes before the answer to the last gets none, and may be sent again (RFC 9112, 9.3.2).
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _upgrade_logged = -math.inf
    """When a request to upgrade was last logged, of all connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_left = HEAD_BYTES
        self._deaf = False
        """Whether nothing more is read: the connection ends, at the latest with the answer that is under way."""
        self._unsent = 0
        self._await(_Awaited.REQUEST)

    def begin_request(self) -> None:
        """Have the request whose head is there answered."""
        super().on_headers_complete()  # type: ignore[misc]  # uvicorn's, here and below

    def refuse(self, status: HTTPStatus) -> None:
        """Answer and end, but read on for a while: a socket closed with bytes unread takes its answer back."""
        if self._is_answering():
            self._end_with_answer()
            return
        self._deaf, transport = True, self.transport
        self.connection_lost(ConnectionAbortedError())  # for whoever still answers
        transport.set_protocol(asyncio.Protocol())
        transport.write(b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % (status, status.phrase.encode()))
        transport.write_eof()
        self.loop.call_later(_LINGER_S, transport.abort)

    def end_if_slow(self, body_s: float | None) -> None:
        """End the connection if what its client is to send, or to take of an answer, is late; to be called now and then."""
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

    def data_received(self, data: bytes) -> None:
        """Read a head in parts, for the parser would gather one of any size."""
        if not self._reads():
            return
        if self._head_left == _NO_HEAD:
            super().data_received(data)
            return
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        super().data_received(head)
        if not self._reads():
            return
        if self._head_left == 0:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif rest:
            super().data_received(rest)

    def on_message_begin(self) -> None:
        super().on_message_begin()  # type: ignore[misc]
        self._await(_Awaited.HEAD)

    def on_headers_complete(self) -> None:
        self._head_left = _NO_HEAD
        self._await(_Awaited.BODY)
        if self._is_answering():
            self._end_with_answer()
        else:
            self.begin_request()

    def on_chunk_header(self) -> None:
        self._head_left = HEAD_BYTES  # data follows or, after the last chunk, trailers

    def on_body(self, body: bytes) -> None:
        self._head_left = _NO_HEAD
        if not self._deaf:
            super().on_body(body)  # type: ignore[misc]

    def on_message_complete(self) -> None:
        super().on_message_complete()  # type: ignore[misc]
        self._head_left = HEAD_BYTES
        self._await(_Awaited.REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """Log one line now and then, where uvicorn logs two for each request and advises to install a WebSocket library."""
        if self.loop.time() - BoundedRequests._upgrade_logged >= UPGRADE_LOG_S:
            BoundedRequests._upgrade_logged = self.loop.time()
            logger.warning("a client asked to upgrade to WebSocket, which is not supported; it was answered over HTTP")

    def _await(self, what: _Awaited) -> None:
        self._awaited, self._since = what, self.loop.time()

    def _is_answering(self) -> bool:
        """Say whether a request is there whole, and its answer isn't."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _reads(self) -> bool:
        return not self._deaf and not self.transport.is_closing()

    def _end_with_answer(self) -> None:
        self._deaf, self.cycle.keep_alive = True, False


def end_slow(connections: Iterable[object], body_s: float | None = None) -> None:
    """End connections whose clients are too slow; the body of a request may take `body_s` seconds, or else as long as a head."""
    for connection in list(connections):
        if isinstance(connection, BoundedRequests):
            connection.end_if_slow(body_s)
