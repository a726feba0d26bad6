"""The uvicorn server that all services share. It is apart from `tailrace.service`, which producers import and which needs no uvicorn.

Services that listen for HTTP import it; commands and workers don't.
"""

from tailrace.service.http._server import Server, uvicorn_config

__all__ = ["Server", "uvicorn_config"]
