"""Pushes over HTTP: each request becomes a job and is answered with the job's receipt."""

from tailrace.ingest._app import create_app
from tailrace.ingest._config import IngestConfig

__all__ = ["IngestConfig", "create_app"]
