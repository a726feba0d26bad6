"""Who may push: clients with the token, and no pages of other origins."""

import hmac

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from tailrace.ingest._config import IngestConfig

OPEN = "open"
"""Option of handlers that need neither token nor origin."""


def guards(config: IngestConfig) -> list[Guard]:
    """Return the guards of every handler that isn't OPEN."""
    expected = config.push_token.encode()

    def check_token(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected)
        if not (known or handler.opt.get(OPEN)):
            raise NotAuthorizedException("a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})

    def check_origin(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """Keep out pages that a browser lets send what needs no preflight (a POST of plain text)."""
        origin = connection.headers.get("origin")
        if origin is None or origin in config.origins or "*" in config.origins:
            return
        if origin.partition("://")[2] != connection.headers.get("host"):
            raise PermissionDeniedException("pages of this origin may not push: see --origins")

    return [check_origin, check_token] if config.push_token else [check_origin]
