"""The edge: streams the logs' events to its own connections over Server-Sent Events, and does nothing else."""

from tailrace.edge._config import EdgeConfig
from tailrace.edge._edge_app import EdgeApp
from tailrace.edge._plugin import EdgePlugin

__all__ = ["EdgeApp", "EdgeConfig", "EdgePlugin"]
