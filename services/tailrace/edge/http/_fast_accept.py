"""The door: lets plain requests for a stream in past the HTTP protocol, and leaves all others to it.

The requests of a crowd that reconnects are all alike, and a protocol that is ready for anything else spends half of an
accept on being so. What is plain is narrower than what HTTP allows, and is answered as the protocol would answer it.
"""

import asyncio
import re
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from tailrace.edge._engine import Engine
from tailrace.edge._errors import BusyError, RequestError
from tailrace.edge.http._asgi import STREAM_HEAD, Headers, cors
from tailrace.edge.http._connection import SocketConnection
from tailrace.edge.http._handover import HandoverProtocol
from tailrace.edge.streams._request import read_request
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.service import MAX_FIELDS, BoundedRequests, Sockets

_MOST_BYTES = 8 << 10
_PLAIN = rb"GET %b(?:\?([\w.~:&=%%+,;/@-]*))? HTTP/1\.1\r\n((?:[\w!#$%%&'*+.^`|~-]+:[\t -~]*\r\n)*)\r\n"
"""A whole head of printable ASCII; no byte can match in two ways, so that it is looked through once."""
_FIELD = re.compile(rb"([^:]+):([^\r]*)\r\n")
_ODD = frozenset({b"content-length", b"expect", b"transfer-encoding", b"upgrade"})


class Door:
    """Makes the first protocol of each connection; a uvicorn server takes it for a class of protocols."""

    def __init__(self, engine: Engine, sockets: Sockets) -> None:
        self._engine, self._sockets = engine, sockets
        self._plain = re.compile(_PLAIN % re.escape(engine.config.path.encode())).fullmatch

    def __call__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], **_: Any) -> "DoorProtocol":
        return DoorProtocol(self, partial(HandoverProtocol, config, server_state, app_state), server_state, self._sockets)

    def read(self, data: bytes) -> tuple[bytes, Headers] | None:
        """Return the query and the headers of a plain request; None if it is none."""
        plain = self._plain(data) if len(data) <= _MOST_BYTES else None
        if plain is None:
            return None
        headers = [(name.lower(), value.strip(b" \t")) for name, value in _FIELD.findall(plain[2])]
        if len(headers) > MAX_FIELDS:
            return None
        for name, value in headers:
            if name in _ODD or (name == b"connection" and value.lower() != b"keep-alive"):
                return None
        return plain[1] or b"", headers

    def lets_in(self, transport: asyncio.Transport, data: bytes, default_headers: Headers) -> bool:
        """Begin a stream once its client is registered; False for what isn't plain, has to wait or is to be refused."""
        engine, found = self._engine, self.read(data)
        if found is None:
            return False
        query, headers = found
        try:
            request = read_request(query, headers, engine.config.max_channels, engine.config.max_channel_bytes)
            subscriber = engine.enter_at_once(request, engine.addresses.of(transport.get_extra_info("peername"), headers))
        except (RequestError, BusyError):
            return False
        if subscriber is None:
            return False
        connection = SocketConnection(engine, subscriber)
        transport.set_protocol(connection)
        self._sockets.leave(transport)
        head = _head([*default_headers, *STREAM_HEAD, *cors(engine.config.origins, headers)])
        engine.when_registered(partial(_begin, engine, subscriber, connection, transport, head))
        return True


class DoorProtocol(BoundedRequests):
    """What a connection has until its first bytes are there."""

    cycle = None

    def __init__(self, door: Door, ordinary: "partial[HandoverProtocol]", state: ServerState, sockets: Sockets) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(sockets=sockets)
        self._door, self._ordinary, self._state = door, ordinary, state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self._sockets.enter(self.transport):
            self._state.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._state.connections.discard(self)
        if self.transport.is_closing():
            return
        if not self._door.lets_in(self.transport, data, self._state.default_headers):
            ordinary = self._ordinary(sockets=self._sockets)
            self.transport.set_protocol(ordinary)
            ordinary.connection_made(self.transport)
            ordinary.data_received(data)

    def shutdown(self) -> None:
        """End, as uvicorn asks of all its connections when it stops."""
        self.transport.close()


def _head(headers: Headers) -> bytes:
    fields = b"".join([b"%b: %b\r\n" % each for each in headers])
    return b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % fields


def _begin(engine: Engine, subscriber: Subscriber, connection: SocketConnection, transport: asyncio.Transport, head: bytes) -> None:
    if not transport.is_closing():
        connection.begin(transport, head, framed=True)
        engine.open(subscriber, connection)
