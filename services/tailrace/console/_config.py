"""The console's settings; each is a flag (`--edge-url`) and a variable (`TAILRACE_EDGE_URL`)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# What may stand in a Content-Security-Policy, too: no space, comma, semicolon or quote.
_FULL, _PATH, _PORT = r"https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~/-]*)?", r"/([A-Za-z0-9._~-][A-Za-z0-9._~/-]*)?", r":[0-9]{1,5}"
Address = Annotated[str, Meta(pattern=f"^({_FULL}|{_PATH}|{_PORT})$")]


class ConsoleConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the console runs.

    Addresses are those that a browser uses; `/path` is on the page's own host and port, `:8000` another port there.
    """

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")] = 8002
    edge_url: Annotated[tuple[Address, ...], Meta(min_length=1, description="Address of an edge, for browsers; repeatable.")] = (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8010",
    )
    ingest_url: Annotated[Address, Meta(description="Address of ingest, for browsers.")] = "http://127.0.0.1:8001"
    hosts: Annotated[tuple[str, ...], Meta(description="Further host names to answer to when on loopback.")] = ()
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is logged.")] = "info"
