"""The edge in a Litestar application of anybody's own."""

from contextlib import AbstractAsyncContextManager

from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from litestar.types import Receive, Scope, Send

from tailrace.edge._config import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge._stream import StreamHandler

_PATIENCE_S = 2  # servers know no Ctrl-C while an application starts, which has other things to do than to stream


class EdgePlugin(InitPlugin):
    """Adds `GET {path}` to an application, and nothing else; the edge lives as long as the application does."""

    def __init__(self, config: EdgeConfig | None = None) -> None:
        self.config = config or EdgeConfig()
        self.engine = Engine(self.config)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the route and the edge's life."""
        stream = StreamHandler(self.engine)

        @asgi(self.config.path, copy_scope=False)
        async def sse(scope: Scope, receive: Receive, send: Send) -> None:
            await stream(scope, receive, send)

        app_config.route_handlers.append(sse)
        app_config.lifespan.append(self._lifespan)
        return app_config

    def _lifespan(self, _: Litestar) -> AbstractAsyncContextManager[None]:
        return self.engine.running(patience_s=_PATIENCE_S)
