"""Admission: where a stream begins (at its cursor, in a rewind, or now), and its first block.

A rewind's "last" events are those up to the reader's position when the stream began. A stream that breaks off while it is being
rewound is resumed with the same ends (see `Rewind` in `_frames`), so the same events are owed. What a history has trimmed since then
becomes a gap: a channel that has fewer events left than requested is read from the oldest event owed in any channel, and the
ordinary resume rule finds what is missing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from redis import RedisError

from tailrace.edge._context import Core
from tailrace.edge._errors import BusyError
from tailrace.edge.streams._frames import Rewind, jittered, rfc3339
from tailrace.edge.streams._generations import LOST, Sync
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._request import MAX_REWIND, StreamRequest
from tailrace.edge.streams._resume import holds
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.events import Generations, LogReader
from tailrace.redis import trouble
from tailrace.wire import (
    Connect,
    Cursor,
    CursorError,
    RewindMark,
    bucket,
    decode_cursor,
    decode_rewind,
    encode_control,
    id_at,
    id_parts,
    with_comment,
    with_id,
    with_retry,
)

AT_ONCE = 8
"""Histories that are read at the same time: a client of Redis has so many connections and no more."""
_Question = tuple[str, int, int]


class LastEvents(NamedTuple):
    """The last events of a channel up to some id."""

    start: int | None
    """The id of the first of them; None where there are none."""
    complete: bool
    """Whether these are as many as were asked for."""


class _Answer:
    """What Redis answers to a question, and how many clients wait for it."""

    def __init__(self, task: asyncio.Task[LastEvents]) -> None:
        self.task, self.waiting = task, 0
        task.add_done_callback(_look_at)


class Rewinds:
    """Asks Redis for the beginnings of histories' ends."""

    def __init__(self, logs: Sequence[LogReader], need_redis: Callable[[Iterable[int]], None]) -> None:
        """`need_redis` raises what is said while one of some shards is away."""
        self._logs, self._need_redis = logs, need_redis
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._to_be_asked: dict[_Question, _Answer] = {}

    async def last(self, channel: str, most: int, end: int) -> LastEvents:
        """Find a channel's last `most` events up to the id `end`, in its history as it is after this call began.

        A question that nobody waits for any more isn't asked. Raises redis.RedisError, and what `need_redis` raises.
        """
        question = channel, most, end
        answer = self._to_be_asked.get(question)
        if answer is None:
            answer = self._to_be_asked[question] = _Answer(asyncio.create_task(self._ask(question)))
        answer.waiting += 1
        try:
            return await asyncio.shield(answer.task)  # a client that leaves takes it from no other
        finally:
            answer.waiting -= 1
            if not answer.waiting and self._to_be_asked.get(question) is answer:
                del self._to_be_asked[question]
                answer.task.cancel()

    async def _ask(self, question: _Question) -> LastEvents:
        channel, most, end = question
        async with self._turn:
            del self._to_be_asked[question]  # who comes from now on may want more than this will hold
            shard = bucket(channel, len(self._logs))
            self._need_redis([shard])  # who waited its turn doesn't wait once more for a Redis that is silent
            return LastEvents(*await self._logs[shard].first_of_last(most, channel, end))


def begin_rewind(behind: Behind, most: int, ends: Sequence[int], found: Mapping[str, LastEvents]) -> None:
    """Have a new stream begin with what was found of each channel; its positions are the `ends`."""
    firsts = dict[int, int]()
    for channel, (start, _) in found.items():
        shard = bucket(channel, len(ends))
        behind.starts[channel] = first = ends[shard] + 1 if start is None else start
        behind.excused[channel] = first - 1
        if start is not None:
            firsts[shard] = min(start, firsts.get(shard, start))
    if firsts:
        for shard, first in firsts.items():
            behind.positions[shard] = _before(id_parts(first)[0])
        since_ms = min([id_parts(first)[0] for first in firsts.values()])
        behind.rewind = Rewind(most, since_ms, ends, behind.positions)


def resume_rewind(behind: Behind, mark: RewindMark, ends: Sequence[int], found: Mapping[str, LastEvents]) -> None:
    """Have a resumed stream go on with a rewind; `ends` is -1 for shards in which it is over, `found` what the others' channels have."""
    floors = [-1 for _ in ends]
    for shard in {bucket(channel, len(ends)) for channel in found}:
        if shard == mark.shard and mark.reached is not None:
            behind.positions[shard] = min(mark.reached, ends[shard])
        else:
            behind.positions[shard] = floors[shard] = min(_before(mark.since_ms), ends[shard])
    for channel, (start, complete) in found.items():
        if start is not None and complete:
            behind.starts[channel], behind.excused[channel] = start, start - 1
    behind.rewind = Rewind(mark.most, mark.since_ms, ends, floors)


def _before(ms: int) -> int:
    """Return a position before all ids of a millisecond, which a cursor can hold in few characters."""
    return id_at(max(0, ms - 1))


def _look_at(answer: asyncio.Task[LastEvents]) -> None:
    """See a failure, which asyncio would complain of where all who asked have left."""
    if not answer.cancelled():
        answer.exception()


class Starter:
    """Finds out where streams begin, and begins them."""

    def __init__(self, core: Core, hub: Hub, sync: Sync) -> None:
        self._tails, self._hub, self._sync = core.tails, hub, sync
        self._config, self._rewinds = core.config, Rewinds(core.logs, self._need_redis)

    def begin_at_once(self, request: StreamRequest) -> Behind | None:
        """Return where a stream begins if that holds whatever Redis says; for any other ask `begin`."""
        if self._sync.away or (request.rewind and not request.cursor) or "-" in request.cursor:  # or a rewind that goes on
            return None
        behind = Behind(self._hub.position)
        try:
            cursor = decode_cursor(request.cursor, len(self._tails)) if request.cursor else ()
        except CursorError:
            return None
        for shard, place in enumerate(cursor):
            if not holds(self._tails[shard], place, None):
                return None
            behind.positions[shard] = place.position
        return behind

    async def begin(self, request: StreamRequest) -> Behind:
        """Return where a stream begins.

        There is no await between the last look and the return, so it holds until the next one.
        Raises BusyError: only Redis could tell, and it is away.
        """
        try:
            if request.cursor:
                return await self._resumed(request)
            return await self._rewound(request) if request.rewind else Behind(self._hub.position)
        except (RedisError, OSError) as error:
            raise BusyError(trouble(error), "redis") from error

    async def _resumed(self, request: StreamRequest) -> Behind:
        shards = len(self._tails)
        try:
            cursor = decode_cursor(request.cursor, shards)
            mark = decode_rewind(request.cursor, cursor)
        except CursorError as error:
            behind = Behind(self._hub.position)
            behind.reset = str(error)
            return behind
        while True:
            held = await self._held(cursor)
            labels = [tail.label for tail in self._tails]
            found, ends = dict[str, LastEvents](), list[int]()
            if mark:
                ends = [place.position if shard >= mark.shard and held[shard] else -1 for shard, place in enumerate(cursor)]
                owed = [name for name in request.channels if ends[bucket(name, shards)] >= 0]
                found = await self._last_events(owed, min(mark.most, MAX_REWIND), ends)
            if labels == [tail.label for tail in self._tails]:
                break  # else what was read belongs to another generation
        behind = Behind(self._hub.position)
        for shard, place in enumerate(cursor):
            if held[shard]:
                behind.positions[shard] = place.position
            else:
                behind.reset = LOST
        if mark:
            resume_rewind(behind, mark, ends, found)
        self._need_redis_for_histories(request, behind)
        return behind

    async def _held(self, cursor: Cursor) -> list[bool]:
        """Say of each shard whether the stream can go on from its place."""
        known: dict[int, Generations] = {}
        while unknown := [shard for shard, place in enumerate(cursor) if holds(self._tails[shard], place, known.get(shard)) is None]:
            self._need_redis(unknown)
            for shard in unknown:
                known[shard] = await self._sync.look(shard)
        return [bool(holds(self._tails[shard], place, known.get(shard))) for shard, place in enumerate(cursor)]

    async def _last_events(self, channels: Sequence[str], most: int, ends: Sequence[int]) -> dict[str, LastEvents]:
        shards = len(self._tails)
        self._need_redis([bucket(name, shards) for name in channels])
        return {name: await self._rewinds.last(name, most, ends[bucket(name, shards)]) for name in channels}

    def _need_redis(self, shards: Iterable[int]) -> None:
        if self._sync.away.intersection(shards):
            raise BusyError(self._sync.refused or "Redis is away", "redis")

    def _need_redis_for_histories(self, request: StreamRequest, behind: Behind) -> None:
        shards = len(self._tails)
        for channel in request.channels:
            shard = bucket(channel, shards)
            if behind.positions[shard] < self._tails[shard].ring.base:
                self._need_redis([shard])

    async def _rewound(self, request: StreamRequest) -> Behind:
        labels, ends = [tail.label for tail in self._tails], self._hub.position
        found = await self._last_events(request.channels, request.rewind, ends)
        if labels != [tail.label for tail in self._tails]:
            return Behind(self._hub.position)  # what was read belongs to another generation
        behind = Behind(ends)
        begin_rewind(behind, request.rewind, ends, found)
        return behind

    def opening(self, subscriber: Subscriber, connections: int) -> bytes:
        """Return a stream's first block, which begins with a comment: it flushes proxies, and takes the place of a byte order mark.

        `connections` is how many streams of this process have the client's id.
        """
        behind, config = subscriber.behind, self._config
        connect = encode_control(
            Connect(
                id=subscriber.client,
                time=rfc3339(time.time()),
                message="connected",
                channels=list(subscriber.channels),
                heartbeat_s=config.heartbeat_s,
                ignored=list(behind.ignored) if behind and behind.ignored else msgspec.UNSET,
                connections=connections if connections > 1 else msgspec.UNSET,
            )
        )
        if not (behind and behind.reset):  # a reset brings the cursor
            connect = with_id(connect, self._hub.cursor_of(subscriber))
        return with_comment(with_retry(connect, jittered(config.retry_ms)), "tailrace")
