"""What all parts of one edge share."""

from dataclasses import dataclass

from tailrace.edge._config import EdgeConfig
from tailrace.edge._meter import Meter
from tailrace.edge._tail import Tail
from tailrace.log import LogReader
from tailrace.wire import Keys


@dataclass(frozen=True)
class Core:
    config: EdgeConfig
    keys: Keys
    tails: list[Tail]
    """One for each shard, ..."""
    logs: list[LogReader]
    """... and how its log is asked."""
    meter: Meter
