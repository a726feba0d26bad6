"""The edge as part of a Litestar application."""

from contextlib import AbstractAsyncContextManager

from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from tailrace.edge._config import EdgeConfig
from tailrace.edge._edge import START_WAIT_S, Edge
from tailrace.edge._engine import Engine
from tailrace.edge.http._asgi import StreamHandler


class EdgePlugin(InitPlugin):
    """Adds `GET {path}` to a Litestar application, and nothing else.

    The edge starts and stops with the application's lifespan. It may be built before the server forks, and started again after
    it has stopped; each start is an edge of its own. To use it in FastAPI or Starlette, see `EdgeApp`.
    """

    def __init__(self, config: EdgeConfig | None = None) -> None:
        self._edge = Edge(config)

    @property
    def config(self) -> EdgeConfig:
        return self._edge.config

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the route and the edge's lifespan."""
        stream = StreamHandler(self._edge)

        @asgi(self.config.path, copy_scope=False)
        async def sse(scope: Scope, receive: Receive, send: Send) -> None:
            await stream(scope, receive, send)

        app_config.route_handlers.append(sse)
        app_config.lifespan.append(self._lifespan)
        return app_config

    def _lifespan(self, _: Litestar) -> AbstractAsyncContextManager[Engine]:
        return self._edge.running(START_WAIT_S)
