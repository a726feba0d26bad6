"""`GET /sse` over ASGI: the stream's contract, from the request to the first bytes."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec
from litestar.enums import ScopeType
from litestar.types import HTTPDisconnectEvent, HTTPResponseStartEvent, Receive, Scope, Send

from tailrace.edge._edge import Edge
from tailrace.edge._engine import Engine
from tailrace.edge._errors import BusyError, RequestError
from tailrace.edge.http._connection import SendConnection, SocketConnection, hand_over, until_gone
from tailrace.edge.streams._frames import busy_block
from tailrace.edge.streams._request import StreamRequest, read_request
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.service import SAFE_HEADERS, Problem
from tailrace.wire import with_comment

Exchange = tuple[Scope, Receive, Send]
Headers = list[tuple[bytes, bytes]]
_ALLOWED = b"GET, HEAD, OPTIONS"
STREAM_HEAD: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


_SAFE: Headers = [(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


class _GoneError(Exception):
    """The client left before its stream began."""


class StreamHandler:
    """Answers requests for a stream."""

    def __init__(self, edge: Edge) -> None:
        self._edge, self._config = edge, edge.config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a WebSocket is refused, for which servers send 403."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        allowed = cors(self._config.origins, headers)
        method = scope.get("method", "GET")
        if method == "OPTIONS":
            await _answer(send, 204, [*allowed, *_preflight(headers), (b"allow", _ALLOWED)])
            return
        if method not in ("GET", "HEAD"):
            problem = Problem("there is no way to publish here", "method")
            await _answer(send, 405, [*allowed, (b"allow", _ALLOWED)], problem)
            return
        await self._admit(allowed, method, (scope, receive, send))

    async def _admit(self, allowed: Headers, method: str, exchange: Exchange) -> None:
        (scope, receive, send), config = exchange, self._config
        headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        try:
            request = read_request(scope["query_string"], headers, config.max_channels, config.max_channel_bytes)
            if method == "HEAD":
                await _answer(send, 200, [*STREAM_HEAD, *allowed])
                return
            engine = self._edge.require()
            address = engine.addresses.of(scope.get("client"), headers)
            subscriber, leave = await _enter(engine, request, address, receive)
        except RequestError as error:
            await _answer(send, error.status, allowed, Problem(str(error), error.path))
        except BusyError as error:
            await self._put_off(send, allowed, error.reason)
        except _GoneError:
            pass
        else:
            try:
                await self._stream(engine, subscriber, allowed, (scope, partial(_departure, leave) if leave else receive, send))
            finally:
                if leave:
                    leave.cancel()

    async def _stream(self, engine: Engine, subscriber: Subscriber, allowed: Headers, exchange: Exchange) -> None:
        scope, receive, send = exchange
        socket: SocketConnection | None = None
        try:
            await send(_start(200, [*STREAM_HEAD, *allowed]))
            if socket := hand_over(scope, engine, subscriber):
                engine.open(subscriber, socket)
            else:
                connection = SendConnection(engine, subscriber)
                engine.open(subscriber, connection)
                await connection.run(receive, send)
        except asyncio.CancelledError:
            pass  # so a server ends what is open when it shuts down, and logs as an error whatever comes out of here
        finally:
            if socket is None:
                engine.leave(subscriber)

    async def _put_off(self, send: Send, allowed: Headers, reason: str) -> None:
        """Answer in the one way after which a browser's EventSource comes again."""
        await send(_start(200, [*STREAM_HEAD, *allowed]))
        body = with_comment(busy_block(reason, self._edge.busy_retry_ms()), "busy")
        await send({"type": "http.response.body", "body": body, "more_body": False})


def cors(origins: Sequence[str], headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return what an answer says about the origin that asks."""
    origin = next((value for name, value in headers if name == b"origin"), b"")
    if not origins or not origin:
        return []
    if origin.decode("latin-1") in origins:
        allowed = [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
        return [*allowed, (b"vary", b"Origin")]
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*")]
    return [(b"vary", b"Origin")]


def _preflight(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    asked = next((value for name, value in headers if name == b"access-control-request-headers"), b"")
    allowed = (b"access-control-allow-headers", asked or b"Last-Event-ID")
    return [(b"access-control-allow-methods", _ALLOWED), allowed, (b"access-control-max-age", b"86400")]


async def _enter(engine: Engine, request: StreamRequest, address: str, receive: Receive) -> tuple[Subscriber, asyncio.Task[None] | None]:
    """Let a client in; stop if it leaves while its channels' histories are read.

    Returns the subscriber, and the task that waits for the client to leave, where there is one. The stream has to go on with that
    task: granian loses a message, or reports a client as gone, when a pending `receive` is cancelled. Raises BusyError, _GoneError.
    """
    if not request.rewind:
        return await engine.enter(request, address), None
    enter = asyncio.create_task(engine.enter(request, address))
    leave = asyncio.create_task(until_gone(receive))
    entered = False
    try:
        await asyncio.wait((enter, leave), return_when=asyncio.FIRST_COMPLETED)
        if not enter.done():
            raise _GoneError
        subscriber = enter.result()
        entered = True
        return subscriber, leave
    finally:
        if not entered:
            await _abandon(engine, enter, leave)


async def _departure(leave: asyncio.Task[None]) -> HTTPDisconnectEvent:
    """Stand in for `receive` where a task waits for the client's departure already."""
    await asyncio.shield(leave)
    return {"type": "http.disconnect"}


async def _abandon(engine: Engine, enter: asyncio.Task[Subscriber], leave: asyncio.Task[None]) -> None:
    for task in (enter, leave):
        task.cancel()
    await asyncio.wait((enter, leave))
    if not (enter.cancelled() or enter.exception()):
        engine.leave(enter.result())


def _start(status: int, headers: Headers) -> HTTPResponseStartEvent:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _answer(send: Send, status: int, headers: Headers, problem: Problem | None = None) -> None:
    body = msgspec.json.encode(problem) if problem else b""
    if problem:
        headers = [*headers, *_SAFE, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(_start(status, headers))
    await send({"type": "http.response.body", "body": body, "more_body": False})
