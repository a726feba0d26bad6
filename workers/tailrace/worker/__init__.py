"""The worker: takes jobs from the queue, and appends their events to the logs, exactly once and in order."""

from tailrace.worker._config import WorkerConfig
from tailrace.worker.calls._functions import Event, function
from tailrace.worker.calls._schedule import every

__all__ = ["Event", "WorkerConfig", "every", "function"]
