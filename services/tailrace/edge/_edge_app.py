"""The edge as an ASGI application, for FastAPI, Starlette and any other ASGI framework."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, cast

from tailrace.edge._config import EdgeConfig
from tailrace.edge._edge import START_WAIT_S, Edge
from tailrace.edge.http._asgi import StreamHandler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class EdgeApp:
    """An ASGI application that streams on every path that is routed to it; `path` in its configuration is not used.

        edge = EdgeApp(EdgeConfig(redis="redis://127.0.0.1:6379/0"))
        app = FastAPI(lifespan=edge.lifespan)
        app.mount("/events", edge)

    The edge starts and stops with `lifespan`. It may be built before the server forks, and started again after it has stopped;
    each start is an edge of its own. Until it is started, clients are told to come back later and one error line says so.
    """

    def __init__(self, config: EdgeConfig | None = None) -> None:
        self._edge = Edge(config)
        self._stream = StreamHandler(self._edge)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection; served alone, by a server directly, the edge runs its own lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._stream(cast("Any", scope), cast("Any", receive), cast("Any", send))  # the same types, by Litestar's names

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:  # noqa: ARG002  # what frameworks pass
        """Run the edge for the length of the block: the `lifespan` of an outer application, or part of it.

            @asynccontextmanager
            async def lifespan(app):
                async with edge.lifespan(app), open_database():
                    yield

        After 2 s without Redis it begins all the same, and puts clients off until Redis is there.
        Raises SetupError: the edge runs already, or Redis or a setting is not as it has to be.
        """
        async with self._edge.running(START_WAIT_S):
            yield

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the lifespan protocol of ASGI."""
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})
