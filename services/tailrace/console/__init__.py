"""The demo page: what tailrace does, live in a browser, through the public contracts of edges and ingest only."""

from tailrace.console._app import create_app
from tailrace.console._config import ConsoleConfig

__all__ = ["ConsoleConfig", "create_app"]
