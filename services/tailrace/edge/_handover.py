"""The hand-over: under tailrace's own server a stream's socket leaves the HTTP protocol once the head is sent.

Then no task, parser or request cycle is kept for it. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`). Made for the uvicorn that `check_seam` accepts.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from litestar.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.edge._frames import LAST_CHUNK, PIECE_BYTES
from tailrace.wire import SetupError

EXTENSION = "tailrace.handover"
_LOW_WATER = 8 << 10


class HandoverProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which offers itself to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"protocol": self}}


class SocketConnection(asyncio.Protocol):
    """A socket of our own: all that is kept of a connection beside its subscriber."""

    __slots__ = ("_on_gone", "_on_room", "_transport", "framed", "paused")

    def __init__(
        self, transport: asyncio.Transport, on_room: Callable[[], None], on_gone: Callable[[], None], *, framed: bool
    ) -> None:
        self._transport, self._on_room, self._on_gone = transport, on_room, on_gone
        self.framed = framed
        self.paused = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def backlog(self) -> int:
        return self._transport.get_write_buffer_size()

    def end(self) -> None:
        if not self._transport.is_closing():
            if self.framed:
                self._transport.write(LAST_CHUNK)
            self._transport.close()

    def cut(self) -> None:
        self._transport.abort()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_gone()


def hand_over(scope: Scope, on_room: Callable[[], None], on_gone: Callable[[], None]) -> SocketConnection | None:
    """Take the socket of a response whose head was sent; None where the server doesn't offer it, or kept the head back."""
    offer: dict[str, Any] = scope.get("extensions", {}).get(EXTENSION, {})  # type: ignore[call-overload]
    protocol: HandoverProtocol | None = offer.get("protocol")
    if protocol is None or not protocol.cycle.response_started:
        return None
    transport, cycle = protocol.transport, protocol.cycle
    connection = SocketConnection(transport, on_room, on_gone, framed=bool(cycle.chunked_encoding))
    protocol.connections.discard(protocol)
    protocol._unset_keepalive_if_required()  # noqa: SLF001  # the seam
    protocol.flow.resume_reading()
    offer.clear()
    transport.set_write_buffer_limits(PIECE_BYTES, _LOW_WATER)
    transport.set_protocol(connection)
    _let_go(protocol, cycle)
    return connection


def _let_go(protocol: HandoverProtocol, cycle: RequestResponseCycle) -> None:
    cycle.response_complete = cycle.disconnected = True  # so that uvicorn takes the request for done
    protocol.cycle = protocol.parser = protocol.transport = None  # type: ignore[assignment]


def check_seam() -> None:
    """See that this uvicorn has what the hand-over uses.

    Raises SetupError: it hasn't; the edge then can't run under this server.
    """
    protocol = ("on_message_begin", "_unset_keepalive_if_required", "connection_lost")
    missing = [name for name in protocol if not hasattr(HttpToolsProtocol, name)]
    names = {*RequestResponseCycle.__init__.__code__.co_names, *HttpToolsProtocol.__init__.__code__.co_names}
    state = ("response_started", "response_complete", "disconnected", "chunked_encoding", "connections", "cycle", "flow")
    missing += [name for name in state if name not in names]
    if missing:
        raise SetupError(f"this uvicorn has no {', '.join(missing)}, which the edge needs: install uvicorn 0.34 to 0.54")
