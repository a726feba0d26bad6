"""Appends what functions emit, each event once per job and index."""

from collections.abc import Sequence
from functools import partial

from redis.asyncio import Redis

from tailrace.events import Appended, LogWriter, NewEvent, Registry
from tailrace.wire import JobReceipt, JobState, PushJob, bucket, encode_receipt, render
from tailrace.worker._commits import commits
from tailrace.worker._count import count
from tailrace.worker._receipts import receipt
from tailrace.worker._retry import Patience


class Emitter:
    """Appends to the logs, outside the ordered line."""

    def __init__(self, logs: Redis, writers: Sequence[LogWriter], registry: Registry, patience: Patience) -> None:
        self._logs, self._writers, self._registry, self._patience = logs, writers, registry, patience

    async def emit(self, job: str, key: str, pushes: Sequence[PushJob], *, receipts: bool) -> tuple[list[Appended], bytes]:
        """Append events, once under the key of all, and return their entries and, if asked for, the job's receipt."""
        if not pushes and not receipts:
            return [], b""
        seconds, micros = await self._patience.ask(self._logs.time)
        now_ms = seconds * 1000 + micros // 1000
        blocks = [render(push, now_ms) for push in pushes]
        entries = await self._append(key, pushes, blocks)
        if not receipts:
            return entries, b""
        there = await count(self._registry, self._patience, list({push.to for push in pushes}))
        made = [receipt(push, block, entry, there[push.to], now_ms) for push, block, entry in zip(pushes, blocks, entries, strict=True)]
        return entries, encode_receipt(JobReceipt(job, JobState.APPENDED, made, many=len(made) != 1))

    async def _append(self, key: str, pushes: Sequence[PushJob], blocks: Sequence[bytes]) -> list[Appended]:
        by_shard: list[list[NewEvent]] = [[] for _ in self._writers]
        for index, (push, block) in enumerate(zip(pushes, blocks, strict=True)):
            event = NewEvent(str(index), push.to, block, f"{key}:{index}")
            by_shard[bucket(push.to, len(by_shard))].append(event)
        found: dict[str, Appended] = {}
        for writer, events in zip(self._writers, by_shard, strict=True):
            for some in commits(events):
                # Found under the job's own key, an event is this job's: appended by a run that was cut off.
                for entry in await self._patience.ask(partial(writer.append, some)):
                    found[entry.name] = entry._replace(duplicate=False)
        return [found[str(index)] for index in range(len(pushes))]
