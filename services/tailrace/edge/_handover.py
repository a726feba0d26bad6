"""The server's side of the hand-over: a stream's socket leaves the HTTP protocol once the response's head is sent.

Then no task, parser or request cycle is kept for it. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`).
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tailrace.edge._connection import EXTENSION
from tailrace.wire import SetupError

_METHODS = ("on_message_begin", "_unset_keepalive_if_required", "connection_lost")
_STATE = ("response_started", "response_complete", "disconnected", "chunked_encoding", "connections", "cycle", "flow")


class HandoverProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which offers its socket to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"take": self.take}}

    def take(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bool] | None:
        """Hand the socket over, and say whether the body is sent in chunks; None if the head isn't sent yet."""
        transport, cycle = self.transport, self.cycle
        if not cycle.response_started or transport.is_closing():
            return None
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        transport.set_protocol(successor)
        cycle.response_complete = cycle.disconnected = True  # uvicorn takes the request for done
        self.cycle = self.parser = self.transport = None  # type: ignore[assignment]
        return transport, bool(cycle.chunked_encoding)


def check_seam() -> None:
    """See that this uvicorn has what the hand-over uses.

    Raises SetupError: it hasn't, so the edge can't run under its own server.
    """
    missing = [name for name in _METHODS if not hasattr(HttpToolsProtocol, name)]
    names = {*RequestResponseCycle.__init__.__code__.co_names, *HttpToolsProtocol.__init__.__code__.co_names}
    missing += [name for name in _STATE if name not in names]
    if missing:
        raise SetupError(f"this uvicorn has no {', '.join(missing)}: install one from 0.34 to 0.54, or mount EdgePlugin")
