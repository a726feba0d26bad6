"""The edge as a guest: EdgePlugin in somebody's own Litestar application, on plain uvicorn with h11 and asyncio."""

import argparse
import sys

import uvicorn
from litestar import Litestar, get

from tailrace.cli import announce, bind, read_settings
from tailrace.edge import EdgeConfig, EdgePlugin
from tests.support.service import Service


class Foreign(Service):
    """The application below as a process; takes settings as variables."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__("edge", environ=environ)
        self._command = (sys.executable, "-m", "tests.edge.foreign")


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


def main() -> None:
    listener = bind("127.0.0.1", 0)
    app = Litestar([hello], plugins=[EdgePlugin(read_settings(EdgeConfig, argparse.Namespace()))])
    config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="warning", timeout_graceful_shutdown=1)
    announce("foreign", *listener.getsockname())
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
