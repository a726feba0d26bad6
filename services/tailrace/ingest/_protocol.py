"""uvicorn's HTTP protocol with a bound for heads of requests, and for their trailers, which it lacks."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10
"""Most bytes of a request's head; the edge has the same."""
_NO_HEAD = -1
_LINGER_S = 2
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 (RFC 6585, 5) where httptools would gather a head of any size."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_left = HEAD_BYTES

    def data_received(self, data: bytes) -> None:
        if self._head_left == _NO_HEAD:
            super().data_received(data)
            return
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        super().data_received(head)
        if self._head_left == 0:
            self._refuse()
        elif rest and not self.transport.is_closing():
            super().data_received(rest)

    def on_headers_complete(self) -> None:
        self._head_left = _NO_HEAD
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._head_left = HEAD_BYTES  # data follows or, after the last chunk, trailers

    def on_body(self, body: bytes) -> None:
        self._head_left = _NO_HEAD
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head_left = HEAD_BYTES

    def _refuse(self) -> None:
        """Answer and end, but read on for a while: a socket closed with bytes unread takes its answer back."""
        transport = self.transport
        self.connection_lost(ConnectionAbortedError())  # for whoever still answers
        transport.set_protocol(asyncio.Protocol())
        transport.write(_TOO_LARGE)
        transport.write_eof()
        self.loop.call_later(_LINGER_S, transport.abort)
