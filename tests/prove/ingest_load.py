"""A steady load of numbered pushes, and what the logs hold of it as they grow."""

import asyncio
import bisect
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from redis.exceptions import RedisError

from tailrace.push import Pusher, QueueFullError
from tailrace.redis import connect
from tailrace.wire import Keys, decode_entry, id_parts
from tests.prove.frame import PATIENCE_S, Count
from tests.prove.ingest_pair import Data, judge, number_of
from tests.support.wait import wait_until

_AT_ONCE = 1000
_AGAIN_S = 0.05
_SOON_MS = 20
_QUIET_S = 60.0


class Recorder:
    """Follows the logs and keeps the numbers of each channel in the order in which they were appended."""

    def __init__(self, url: str, shards: int = 1, prefix: str = "tailrace") -> None:
        self._redis, self._keys, self._shards = connect(url, timeout_s=PATIENCE_S), Keys(prefix), shards
        self.seen: dict[str, list[int]] = defaultdict(list)
        self.others = 0
        """Events of other channels than `room:*`."""
        self.times: list[int] = []
        """When each event was appended, in Unix milliseconds by Redis' clock."""

    async def follow(self) -> None:
        """Read without end; what isn't answered is asked for again."""
        positions = {self._keys.log(shard).encode(): b"0-0" for shard in range(self._shards)}
        while True:
            with suppress(RedisError, OSError):
                for log, entries in await self._redis.xread(dict(positions), count=_AT_ONCE, block=1000):  # type: ignore[arg-type]
                    self._take(entries)
                    positions[log] = entries[-1][0]
            await asyncio.sleep(0)

    def _take(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for entry_id, fields in entries:
            entry = decode_entry(entry_id, [part for pair in fields.items() for part in pair])
            if entry.channel.startswith("room:"):
                self.seen[entry.channel].append(number_of(entry))
            else:
                self.others += 1
            self.times.append(id_parts(entry.id)[0])

    def pause_ms(self, at_ms: float) -> int:
        """Return how long after a time nothing was appended; what was on its way then, came at once."""
        following = bisect.bisect_left(self.times, at_ms + _SOON_MS)
        return round(self.times[following] - at_ms) if following < len(self.times) else 0

    async def until(self, count: int) -> None:
        """Wait until so many events are there, as long as more come."""
        before = -1
        while len(self.times) < count and len(self.times) > before:
            before = len(self.times)
            with suppress(TimeoutError):
                await wait_until(lambda before=before: len(self.times) >= min(count, before + 1000), _QUIET_S)  # type: ignore[misc]

    async def close(self) -> None:
        await self._redis.aclose()


@asynccontextmanager
async def recording(url: str, shards: int = 1) -> AsyncIterator[Recorder]:
    """Follow the logs as long as the block lasts."""
    recorder = Recorder(url, shards)
    task = asyncio.create_task(recorder.follow())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait([task])
        await recorder.close()


class SteadyLoad:
    """Pushes 0, 1, 2, ... to each of some channels, one after another, at a steady rate in all."""

    def __init__(self, pusher: Pusher, channels: int, rate: float) -> None:
        self._pusher, self._rate = pusher, rate
        self.accepted = {f"room:{number}": 0 for number in range(channels)}
        """By channel: how many pushes."""
        self.refused = 0
        self._stop = False

    async def run(self, most: int = 1 << 60) -> None:
        """Push until told to stop, or so many; may be called again for more."""
        async with asyncio.TaskGroup() as tasks:
            for place, channel in enumerate(self.accepted):
                share = most // len(self.accepted) + (place < most % len(self.accepted))
                tasks.create_task(self._channel(channel, place, share))

    def stop(self) -> None:
        self._stop = True

    @property
    def total(self) -> int:
        return sum(self.accepted.values())

    async def _channel(self, channel: str, place: int, most: int) -> None:
        pause_s = len(self.accepted) / self._rate
        begun = time.monotonic() + place / self._rate
        first = self.accepted[channel]
        for number in range(first, first + most):
            await asyncio.sleep(max(0.0, begun + (number - first) * pause_s - time.monotonic()))
            if self._stop:
                return
            while not await self._accepted(channel, number):
                self.refused += 1
                await asyncio.sleep(_AGAIN_S)
            self.accepted[channel] = number + 1

    async def _accepted(self, channel: str, number: int) -> bool:
        try:
            await self._pusher.push(channel, Data(number), stamp=False, receipt=False)
        except QueueFullError:
            return False
        return True

    def judge(self, seen: dict[str, list[int]]) -> Count:
        """Hold what was accepted against what was appended."""
        return sum([judge(range(accepted), seen[channel]) for channel, accepted in self.accepted.items()], Count())


def share(values: Sequence[float], part: float) -> float:
    """Return a quantile: the least value that so large a part doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
