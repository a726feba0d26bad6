"""The console's settings; each is a flag (`--edge-url`) and a variable (`TAILRACE_EDGE_URL`)."""

from typing import Annotated

import msgspec
from msgspec import Meta

# What may stand in a Content-Security-Policy, too: no space, comma, semicolon or quote.
Address = Annotated[str, Meta(pattern=r"^(https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~/-]*)?|/([A-Za-z0-9._~-][A-Za-z0-9._~/-]*)?)$")]


class ConsoleConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the console runs. Addresses are those that a browser uses; one that begins with `/` is on the page's own host."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8002
    edge_url: Annotated[tuple[Address, ...], Meta(min_length=1, description="Address of an edge, for browsers; repeat it for several.")] = (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8010",
    )
    ingest_url: Annotated[Address, Meta(description="Address of ingest, for browsers.")] = "http://127.0.0.1:8001"
