"""The server under `tailrace console`: says when it is ready."""

import signal
import socket
from collections.abc import Sequence
from functools import partial

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.service import BoundedRequests, HostGuard, Sockets, announce, end_slow

_TICKS_PER_S = 10


class Protocol(BoundedRequests, HttpToolsProtocol):
    """uvicorn's protocol, with bounds for what a client may send."""


class Server(uvicorn.Server):
    """uvicorn with our first line."""

    def __init__(self, app: Litestar, hosts: Sequence[str] | None = None) -> None:
        """Answer only to loopback's host names and `hosts`, unless that is None.

        It logs through the process's own logging; one access line a request would drown it.
        """
        super().__init__(
            uvicorn.Config(
                app if hosts is None else HostGuard(app, hosts),
                http=partial(Protocol, sockets=Sockets()),  # type: ignore[arg-type]  # it is only called
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it is ready, once it is."""
        await super().startup(sockets)
        for listener in sockets or ():
            announce("console", *listener.getsockname()[:2])

    async def on_tick(self, counter: int) -> bool:
        """Look once a second for requests that don't come."""
        if counter % _TICKS_PER_S == 0:
            end_slow(self.server_state.connections)
        return await super().on_tick(counter)

    async def run_until_told(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, which uvicorn raises once more when it has ended: then they mean nothing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await self.serve([listener])
