"""An edge's configuration, and its engine while it runs.

An application can be built before its server forks, and can run in several event loops one after another. Whatever belongs
to one process or one loop (the edge's id, Redis connections, locks) is therefore created by `running`, never earlier.
"""

import logging
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tailrace.edge._config import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge._errors import BusyError
from tailrace.edge.streams._frames import jittered
from tailrace.wire import SetupError

logger = logging.getLogger(__name__)
START_WAIT_S = 2
"""How long an application's start waits for Redis. A server ignores Ctrl-C meanwhile, and other routes may not need Redis."""
_NOT_RUNNING = (
    "the edge is not running, so it puts off all clients. It runs as long as the lifespan of its application, which the ASGI server "
    "has to run. Servers don't run the lifespan of a mounted application: in FastAPI or Starlette use EdgeApp, and pass its "
    "`lifespan` to the outer application"
)


class Edge:
    """Hands the engine to requests; holds nothing but the configuration while no engine runs."""

    def __init__(self, config: EdgeConfig | None = None) -> None:
        self.config = config or EdgeConfig()
        self.engine: Engine | None = None
        """None while the edge doesn't run."""
        self._reported = False
        _edges.add(self)

    @asynccontextmanager
    async def running(self, patience_s: float | None = None) -> AsyncIterator[Engine]:
        """Run a new engine for the length of the block; `patience_s` is as in `Engine.running`.

        Raises SetupError: this edge runs already, or Redis or a setting is not as it has to be.
        """
        if self.engine is not None:
            raise SetupError("this edge already runs in this process: give each application its own EdgePlugin or EdgeApp")
        engine = self.engine = Engine(self.config)
        self._reported = False
        try:
            async with engine.running(patience_s):
                yield engine
        finally:
            self.engine = None

    def require(self) -> Engine:
        """Return the engine that runs.

        Raises BusyError: none runs. That is logged once: servers start an application before they let clients in.
        """
        if self.engine is None:
            if not self._reported:
                logger.error(_NOT_RUNNING)
            self._reported = True
            raise BusyError("the edge is not running", "starting")
        return self.engine

    def busy_retry_ms(self) -> int:
        """Return when a client that is put off should come back, in milliseconds."""
        return self.engine.busy_retry_ms() if self.engine else jittered(self.config.busy_retry_ms)


_edges: weakref.WeakSet[Edge] = weakref.WeakSet()


def _leave_engines_to_parent() -> None:
    for edge in _edges:
        edge.engine = None


os.register_at_fork(after_in_child=_leave_engines_to_parent)
