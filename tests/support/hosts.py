"""Applications that hold an edge or are ingest, each as a factory, and servers of several processes that run them."""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from litestar import Litestar
from starlette.applications import Starlette
from starlette.routing import Route

from tailrace.edge import EdgeApp, EdgeConfig, EdgePlugin
from tailrace.ingest import IngestConfig, create_app
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

_HOST = "127.0.0.1"
_START_S, _END_S = 30, 20


def _config() -> EdgeConfig:
    return EdgeConfig(redis=os.environ["TAILRACE_REDIS_URL"], registry_lease_s=1.5, heartbeat_s=0.3)


def plugin(config: EdgeConfig | None = None) -> Litestar:
    return Litestar(plugins=[EdgePlugin(config or _config())], logging_config=None)


def fastapi(config: EdgeConfig | None = None) -> FastAPI:
    """Make an application that has a lifespan and a middleware of its own."""
    edge = EdgeApp(config or _config())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with edge.lifespan(app):
            app.state.own = "open"
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/events", edge)

    @app.middleware("http")
    async def mark(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["x-own"] = request.app.state.own
        return response

    return app


def starlette(config: EdgeConfig | None = None) -> Starlette:
    edge = EdgeApp(config or _config())
    return Starlette(routes=[Route("/events", edge)], lifespan=edge.lifespan)


def bare(config: EdgeConfig | None = None) -> EdgeApp:
    return EdgeApp(config or _config())


def nested(config: EdgeConfig | None = None) -> FastAPI:
    """Mount a Litestar application whose lifespan the outer one runs."""
    inner = plugin(config)
    app = FastAPI(lifespan=lambda _: inner.lifespan())
    app.mount("/rt", inner)  # type: ignore[arg-type]  # Litestar's own ASGI types
    return app


def ingest(config: IngestConfig | None = None) -> Litestar:
    return create_app(config or IngestConfig(redis=os.environ["TAILRACE_REDIS_URL"]))


PATHS = {"plugin": "/sse", "fastapi": "/events/", "starlette": "/events", "bare": "/", "nested": "/rt/sse"}
"""Where the edge of each application streams."""
SERVERS = {
    "gunicorn --preload": "gunicorn --preload -w 2 -k uvicorn_worker.UvicornWorker --graceful-timeout 2 -b {at} {module}:{app}()",
    "uvicorn --workers": "uvicorn --workers 2 --timeout-graceful-shutdown 1 --port {port} --factory {module}:{app}",
    "hypercorn --workers": "hypercorn --workers 2 --graceful-timeout 1 -b {at} {module}:{app}()",
    "granian --workers": "granian --interface asgi --workers 2 --workers-kill-timeout 2 --port {port} --factory {module}:{app}",
    "multiprocessing fork": "{module} {app} {port}",
}


@contextmanager
def served(server: str, app: str, redis_url: str, log: Path) -> Iterator[str]:
    """Run an application on a server, and give its URL."""
    port = free_port()
    command = SERVERS[server].format(module="tests.support.hosts", app=app, port=port, at=f"{_HOST}:{port}").split()
    environ = {**os.environ, "TAILRACE_REDIS_URL": redis_url, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", *command], env=environ, stdout=output, stderr=output)
    try:
        wait_until_sync(lambda: _is_open(port) or process.poll() is not None, _START_S)
        assert process.poll() is None, log.read_text()
        yield f"http://{_HOST}:{port}"
    finally:
        process.terminate()
        process.wait(_END_S)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0


def _serve(app: Any, listener: socket.socket) -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve([listener]))


def main() -> None:
    """Make an application, then fork two processes that serve it on one socket."""
    app = globals()[sys.argv[1]]()
    listener = socket.create_server((_HOST, int(sys.argv[2])))
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_serve, args=(app, listener)) for _ in range(2)]
    for process in processes:
        process.start()

    def stop(*_: object) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, stop)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
