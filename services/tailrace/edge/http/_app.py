"""The application that `tailrace edge` serves: the stream, its health, and a page that shows it."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec
from litestar import HttpMethod, Litestar, MediaType, Request, Response, asgi, route
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler, Receive, Scope, Send

from tailrace.edge._engine import Engine
from tailrace.edge.http._asgi import StreamHandler
from tailrace.service import SAFE_HEADERS, Problem, page_headers

_READS = [HttpMethod.GET, HttpMethod.HEAD]


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an edge is."""

    state: str
    reason: str = ""


def readiness(engine: Engine) -> tuple[int, Health]:
    """Return what `/readyz` answers: 503 only before the start and from the start of a drain.

    A proxy without a ready edge answers 503, after which browsers give up; so Redis away or overload is 200.
    """
    if engine.state != "ready":
        return 503, Health(engine.state, engine.degraded if engine.state == "starting" else "")
    return 200, Health("degraded", engine.degraded) if engine.degraded else Health("ready")


def make_app(engine: Engine, stream: StreamHandler) -> Litestar:
    """Make the application."""
    relative = f".{engine.config.path}"  # a proxy may serve this page under a prefix that it strips
    page = files(__package__).joinpath("page.html").read_text().replace("{{path}}", relative)

    @asgi(engine.config.path, copy_scope=False)
    async def sse(scope: Scope, receive: Receive, send: Send) -> None:
        await stream(scope, receive, send)

    @route("/", http_method=_READS, media_type=MediaType.HTML, sync_to_thread=False)
    def index() -> str:
        return page

    return _app([sse, index, *_health(engine)], f"there is nothing here: streams are at {engine.config.path}", page_headers(page))


def make_metrics_app(engine: Engine) -> Litestar:
    """Make the application on `metrics_port`: there each process of several can be asked for itself."""

    @route("/metrics", http_method=_READS, media_type="text/plain; version=0.0.4; charset=utf-8", sync_to_thread=False)
    def metrics() -> str:
        return engine.metrics()

    return _app([metrics, *_health(engine)], "there is nothing here: figures are at /metrics", SAFE_HEADERS)


def _health(engine: Engine) -> list[ControllerRouterHandler]:
    @route("/healthz", http_method=_READS, sync_to_thread=False)
    def healthz() -> Health:
        return Health("alive")

    @route("/readyz", http_method=_READS, sync_to_thread=False)
    def readyz() -> Response[Health]:
        status, health = readiness(engine)
        return Response(health, status_code=status)

    return [healthz, readyz]


def _app(handlers: list[ControllerRouterHandler], nothing_here: str, safe: Mapping[str, str]) -> Litestar:
    def refuse(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
        """Answer in the one shape that all errors have here."""
        status = error.status_code
        headers = {**safe, **({"Allow": "GET, HEAD, OPTIONS"} if status == 405 else error.headers or {})}
        problem = Problem(nothing_here if status == 404 else error.detail, "$")
        return Response(problem, status_code=status, headers=headers, media_type=MediaType.JSON)

    return Litestar(handlers, exception_handlers={HTTPException: refuse}, response_headers=safe, openapi_config=None, logging_config=None)
