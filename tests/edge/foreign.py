"""The edge as a guest: EdgePlugin in somebody's own Litestar application, on servers that know nothing of tailrace."""

import argparse
import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine

import uvicorn
from litestar import Litestar, get

from tailrace.edge import EdgeConfig, EdgePlugin
from tailrace.service import announce, read_settings
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.wait import wait_until_sync

_HOST = "127.0.0.1"


class Foreign(Service):
    """The application below as a process, on one of SERVERS; takes settings as variables."""

    def __init__(self, server: str, environ: dict[str, str]) -> None:
        super().__init__("edge", environ=environ)
        self._command = (sys.executable, "-m", "tests.edge.foreign", server)


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


def make_app(config: EdgeConfig) -> Litestar:
    return Litestar([hello], plugins=[EdgePlugin(config)])


def _uvicorn_h11(app: Litestar, port: int) -> None:
    uvicorn.run(app, port=port, http="h11", loop="asyncio", log_level="warning", timeout_graceful_shutdown=1)


def _uvicorn_httptools(app: Litestar, port: int) -> None:
    uvicorn.run(app, port=port, http="httptools", loop="uvloop", log_level="warning", timeout_graceful_shutdown=1)


def _granian(app: Litestar, port: int) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    server = Server(app, address=_HOST, port=port, interface=Interfaces.ASGI)  # one process: a kill leaves nothing behind
    asyncio.run(_until_told(server.serve(), server.stop))


def _hypercorn(app: Litestar, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config, end = Config(), asyncio.Event()
    config.bind, config.graceful_timeout, config.loglevel = [f"{_HOST}:{port}"], 1, "WARNING"
    asyncio.run(_until_told(serve(app, config, shutdown_trigger=end.wait), end.set))  # type: ignore[arg-type]  # its own ASGI types


async def _until_told(serving: Coroutine[None, None, None], stop: Callable[[], None]) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await serving


SERVERS: dict[str, Callable[[Litestar, int], None]] = {
    "uvicorn h11": _uvicorn_h11,
    "uvicorn httptools": _uvicorn_httptools,
    "granian": _granian,
    "hypercorn": _hypercorn,
}


def _announce_when_open(port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((_HOST, port)) == 0

    wait_until_sync(is_open, timeout_s=20)
    announce("foreign", _HOST, port)


def main() -> None:
    port = free_port()
    threading.Thread(target=_announce_when_open, args=(port,), daemon=True).start()
    SERVERS[sys.argv[1]](make_app(read_settings(EdgeConfig, argparse.Namespace())), port)


if __name__ == "__main__":
    main()
