"""The server under `tailrace console`: says when it is ready."""

import signal
import socket

import uvicorn
from litestar import Litestar

from tailrace.cli import announce


class Server(uvicorn.Server):
    """uvicorn with our first line."""

    def __init__(self, app: Litestar) -> None:
        """Log through the process's own logging; one access line a request would drown it."""
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it is ready, once it is."""
        await super().startup(sockets)
        for listener in sockets or ():
            announce("console", *listener.getsockname()[:2])

    async def run_until_told(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, which uvicorn raises once more when it has ended: then they mean nothing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        await self.serve([listener])
