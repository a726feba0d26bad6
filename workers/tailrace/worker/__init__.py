"""The worker: takes jobs from the queue, and appends their events to the logs, once and in order."""

from tailrace.worker._config import WorkerConfig
from tailrace.worker._every import every
from tailrace.worker._functions import Event, function

__all__ = ["Event", "WorkerConfig", "every", "function"]
