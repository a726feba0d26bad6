"""The hand-over: a stream's socket leaves uvicorn's HTTP protocol once the head of the response is sent.

After that, no task, parser or request cycle is kept for the stream. uvicorn does the same when it upgrades to WebSocket
(`transport.set_protocol`). `rehearse` checks at startup that the installed uvicorn supports this.
"""

import asyncio
import socket
import sys
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
import uvicorn
from litestar.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tailrace.edge.http._connection import EXTENSION
from tailrace.service import BoundedRequests, Sockets
from tailrace.wire import SetupError


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


TESTED = "0.34 to 0.54"
"""Versions of uvicorn with which the tests of the edge pass."""
_MOST_S = 5
_END = b"\r\n\r\nstill open"


async def rehearse() -> None:
    """Hand one socket over, and write to it after its request has ended.

    Raises SetupError: that didn't work, so the edge can't run under its own server.
    """
    try:
        async with asyncio.timeout(_MOST_S):
            answer, kept = await _answered()
    except (AttributeError, TypeError, OSError) as error:
        raise _refusal() from error
    if kept or not answer.startswith(b"HTTP/1.1 200 ") or b"transfer-encoding: chunked" not in answer or not answer.endswith(_END):
        raise _refusal()


def _refusal() -> SetupError:
    return SetupError(
        f"uvicorn {uvicorn.__version__} doesn't hand sockets over as this edge needs: install one from {TESTED}, or mount EdgePlugin"
    )


async def _answered() -> tuple[bytes, int]:
    """Return what a client reads, and how many connections the server still counts as its own."""
    loop, state = asyncio.get_running_loop(), ServerState()
    settings = uvicorn.Config(_app, http=HandoverProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    here, there = socket.socketpair()
    with here:
        here.settimeout(0)
        await loop.connect_accepted_socket(lambda: HandoverProtocol(settings, state, {}, _loop=loop, sockets=Sockets()), there)
        await loop.sock_sendall(here, b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n")
        answer = b""
        while part := await loop.sock_recv(here, 1 << 12):
            answer += part
        return answer, len(state.connections)


async def _app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's signature
    await send({"type": "http.response.start", "status": 200, "headers": []})
    offers = cast("dict[str, dict[str, Any]]", scope["extensions"])
    transport, _ = offers[EXTENSION]["take"](asyncio.Protocol())

    def go_on(_: object) -> None:
        transport.write(b"still open")
        transport.close()

    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(go_on)
