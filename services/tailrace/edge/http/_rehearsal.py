"""A hand-over at the start, to see that this uvicorn allows it: a change of it shall stop an edge from starting, not streams."""

import asyncio
import socket
from typing import Any, cast

import uvicorn
from litestar.types import Receive, Scope, Send
from uvicorn.server import ServerState

from tailrace.edge.http._connection import EXTENSION
from tailrace.edge.http._handover import HandoverProtocol
from tailrace.service import Sockets
from tailrace.wire import SetupError

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
