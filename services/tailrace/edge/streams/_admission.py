"""The start of a stream: where a client's cursor puts it, and the first that it is told."""

import time
from collections.abc import Iterable, Sequence

import msgspec
from redis import RedisError

from tailrace.edge._context import Core
from tailrace.edge._errors import BusyError
from tailrace.edge.streams._frames import jittered, rfc3339
from tailrace.edge.streams._generations import LOST, Sync
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._request import MAX_REWIND, StreamRequest
from tailrace.edge.streams._resume import holds
from tailrace.edge.streams._rewind import LastEvents, Rewinds, begin_rewind, resume_rewind
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.events import Generations
from tailrace.redis import trouble
from tailrace.wire import (
    Connect,
    Cursor,
    CursorError,
    bucket,
    decode_cursor,
    decode_rewind,
    encode_control,
    with_comment,
    with_id,
    with_retry,
)


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

    def opening(self, subscriber: Subscriber) -> bytes:
        """Return a stream's first block, which begins with a comment: it flushes proxies, and takes the place of a byte order mark."""
        behind, config = subscriber.behind, self._config
        connect = encode_control(
            Connect(
                id=subscriber.client,
                time=rfc3339(time.time()),
                message="connected",
                channels=list(subscriber.channels),
                heartbeat_s=config.heartbeat_s,
                ignored=list(behind.ignored) if behind and behind.ignored else msgspec.UNSET,
            )
        )
        if not (behind and behind.reset):  # a reset brings the cursor
            connect = with_id(connect, self._hub.cursor_of(subscriber))
        return with_comment(with_retry(connect, jittered(config.retry_ms)), "tailrace")
