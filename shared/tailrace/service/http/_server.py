"""uvicorn with the settings, the bounds on requests, the ready line and the exit status that every service has."""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.service._bind import BACKLOG
from tailrace.service._host_guard import HostGuard
from tailrace.service._http_bounds import BoundedRequests, end_slow
from tailrace.service._logging import announce
from tailrace.service._sockets import Sockets

_TICKS_PER_S = 10


class Protocol(BoundedRequests, HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what a client may send."""


def uvicorn_config(
    app: Any, protocol: Callable[..., asyncio.Protocol], *, grace_s: int, lifespan: Literal["auto", "off"] = "auto"
) -> uvicorn.Config:
    """Return uvicorn's settings, which are the same for all services.

    Logs go through the process's own logging; an access line per request would drown the rest. Requests under way get `grace_s`
    seconds to finish at shutdown. No service asks for the client's address through uvicorn, so it reads no proxy headers.
    """
    return uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # it is only called
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace_s,
    )


class Server(uvicorn.Server):
    """Serves an application until a signal, and announces when it is ready."""

    def __init__(  # noqa: PLR0913 - what services set differently, one name each
        self,
        name: str,
        app: Any,
        *,
        grace_s: int,
        hosts: Sequence[str] | None = None,
        body_s: float | None = None,
        on_shutdown: Callable[[], None] | None = None,
    ) -> None:
        """Serve `app` as the service `name`.

        Only the host names of loopback and `hosts` are answered, unless that is None. A request's body may take `body_s` seconds, or as
        long as a head. `on_shutdown` is called before uvicorn waits for the requests that are under way.
        """
        guarded = app if hosts is None else HostGuard(app, hosts)
        super().__init__(uvicorn_config(guarded, partial(Protocol, sockets=Sockets()), grace_s=grace_s))
        self._name, self._body_s, self._on_shutdown = name, body_s, on_shutdown

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Print the ready line once requests are answered."""
        await super().startup(sockets)
        for listener in sockets or ():
            announce(self._name, *listener.getsockname()[:2])

    async def on_tick(self, counter: int) -> bool:
        """Close slow connections once a second."""
        if counter % _TICKS_PER_S == 0:
            end_slow(self.server_state.connections, self._body_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Call `on_shutdown`, then let uvicorn finish the requests that are under way."""
        if self._on_shutdown:
            self._on_shutdown()
        await super().shutdown(sockets)

    async def serve_until_signal(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT.

        uvicorn raises the signal again once it has shut down, which would end the process with that signal instead of status 0;
        these handlers ignore it.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await self.serve([listener])
