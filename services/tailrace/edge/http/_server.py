"""tailrace's own server: uvicorn that hands sockets over, drains before it stops, and ends with status 0."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from tailrace.edge._config import EdgeConfig
from tailrace.edge._edge import Edge
from tailrace.edge._engine import Engine
from tailrace.edge.http._app import make_app, make_metrics_app
from tailrace.edge.http._asgi import StreamHandler
from tailrace.edge.http._fast_accept import Door
from tailrace.edge.http._handover import HandoverProtocol, rehearse
from tailrace.edge.http._prefork import Member
from tailrace.service import Sockets, announce, bind, end_slow
from tailrace.service.http import uvicorn_config

_GC = 10_000, 20, 20
"""What a client brings stays as long as it does, and no cycle of ours is left by who goes: looking for garbage often finds none."""
_TICK_S = 1.0
_LEAST_PER_ADDRESS = 8
"""Sockets without a stream that an address may have where streams are limited to fewer: some have to be told that they are."""
_SEND_BUFFER = 32 << 10
"""The kernel doubles it; with its own choice it takes megabytes for a stalled client."""


class EdgeServer(uvicorn.Server):
    """Serves until it is told to end; the listener closes after the last stream."""

    def __init__(self, engine: Engine, stream: StreamHandler, ready: Callable[[], None] | None = None) -> None:
        """Call `ready`, or say it on stdout, when clients can come."""
        self._sockets = _sockets(engine)
        super().__init__(_settings(_direct(stream, engine.config.path, make_app(engine, stream)), Door(engine, self._sockets)))
        self._engine, self._ready = engine, ready
        self._told, self._hurry = asyncio.Event(), asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`: uvicorn raises them again at the end, which spoils the exit status."""
        yield

    def stop(self) -> None:
        """Drain and end; a second time, end at once."""
        if self.should_exit:
            self._hurry.set()
        self.should_exit = True
        self._told.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC)
        self._engine.when_ready(self._ready or partial(_announce, sockets or []))

    async def main_loop(self) -> None:
        """Run until told to end. uvicorn looks whether it is ten times a second, which is most of what an idle edge does."""
        while not await self.on_tick(0):  # every tenth of its own ticks writes a new Date; each of these does
            end_slow(self.server_state.connections)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._told.wait()

    async def serve_metrics(self, listener: socket.socket) -> None:
        """Answer for health and figures on another port, too, as long as the loop runs."""
        settings = _settings(make_metrics_app(self._engine), HandoverProtocol)
        settings.load()
        loop, state = asyncio.get_running_loop(), self.server_state
        protocol = partial(HandoverProtocol, settings, state, {}, _loop=loop, sockets=self._sockets)
        await loop.create_server(protocol, sock=listener, backlog=settings.backlog)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain, hurry = asyncio.create_task(self._engine.drain()), asyncio.create_task(self._hurry.wait())
        await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
        self.force_exit = not drain.done()
        for task in (drain, hurry):
            task.cancel()
        self._engine.cut_all()
        await super().shutdown(sockets)


async def serve(config: EdgeConfig, host: str, port: int, member: Member | None = None) -> int:
    """Run an edge until SIGTERM or SIGINT, alone or as a member of a group; return the exit status, which is 1 if it failed.

    Raises SetupError, SettingsError: it can't run like this.
    """
    loop, me, servers = asyncio.get_running_loop(), asyncio.current_task(), list[EdgeServer]()
    edge = Edge(config)

    def stop() -> None:
        if servers:
            servers[0].stop()
        elif me is not None:
            me.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if member:
        loop.add_reader(member.lifeline, _end_orphan, member.lifeline, stop)
    with suppress(asyncio.CancelledError):
        await rehearse()
        async with edge.running() as engine:
            listener = _tuned(bind(host, port, shared=bool(member)), config.stall_s)
            servers.append(EdgeServer(engine, StreamHandler(edge), member.ready if member else None))
            engine.on_failure = servers[0].stop
            if config.metrics_port:
                await servers[0].serve_metrics(bind(host, config.metrics_port, "--metrics-port", "0 is none"))
            await servers[0].serve([listener])
            return int(engine.failed)
    return 0


def _sockets(engine: Engine) -> Sockets:
    """Count sockets without a stream beside the streams: all of an address' streams may be about to begin at once."""
    limit = engine.config.max_connections_per_address
    most = max(limit, _LEAST_PER_ADDRESS) if limit else 0
    return Sockets(lambda: len(engine.subscribers), engine.addresses.of_peer, most)


def _announce(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        announce("edge", *listener.getsockname()[:2])


def _end_orphan(lifeline: int, stop: Callable[[], None]) -> None:
    asyncio.get_running_loop().remove_reader(lifeline)
    stop()


def _direct(stream: StreamHandler, path: str, app: Litestar) -> ASGIApp:
    """Let requests for a stream by the way through Litestar, which has nothing to do for them."""

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await (stream if scope["path"] == path else app)(scope, receive, send)

    return dispatch


def _settings(app: ASGIApp, protocol: Callable[..., asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn_config(app, protocol, grace_s=1, lifespan="off")


def _tuned(listener: socket.socket, stall_s: float) -> socket.socket:
    """Set what all accepted sockets inherit: small kernel buffers, and an end for peers that answer no more."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(stall_s * 1000))
    return listener
