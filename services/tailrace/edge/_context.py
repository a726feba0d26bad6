"""What all parts of one edge share."""

from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from tailrace.edge._config import EdgeConfig
from tailrace.edge._metrics import Meter
from tailrace.edge.window._ring import Ring
from tailrace.edge.window._tail import Tail
from tailrace.events import LogReader
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

    @classmethod
    def of(cls, config: EdgeConfig, redis: Redis) -> Self:
        """Make what a configuration asks for; `redis` serves all commands but the readers'."""
        keys, shards = Keys(config.prefix), range(config.shards)
        tails = [Tail(Ring(0, config.ring_entries, config.ring_bytes)) for _ in shards]
        return cls(config, keys, tails, [LogReader(redis, keys, shard) for shard in shards], Meter())
