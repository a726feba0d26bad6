"""The server under `tailrace ingest`: says when it is ready, and lets nobody wait while it ends."""

import signal
import socket

import uvicorn
from litestar import Litestar

from tailrace.cli import announce
from tailrace.ingest._protocol import BoundedProtocol

_GRACE_S = 10


class Server(uvicorn.Server):
    """uvicorn with our first line and our last."""

    def __init__(self, app: Litestar) -> None:
        """Log through the process's own logging; one access line a request would drown it."""
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it is ready, once it is."""
        await super().startup(sockets)
        for listener in sockets or ():
            announce("ingest", *listener.getsockname()[:2])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer those who wait for receipts with 202, and finish the rest."""
        self._app.state.engine.stop()
        await super().shutdown(sockets)

    async def run_until_told(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, which uvicorn raises once more when it has ended: then they mean nothing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await self.serve([listener])
