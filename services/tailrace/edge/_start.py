"""The start of a stream: where a client's cursor puts it, and the first that it is told."""

import time
from collections.abc import Iterable

from redis import RedisError

from tailrace.edge._core import Core
from tailrace.edge._errors import BusyError
from tailrace.edge._frames import cursor_at, jittered, rfc3339
from tailrace.edge._hub import Hub
from tailrace.edge._request import StreamRequest
from tailrace.edge._resume import holds
from tailrace.edge._rewind import Rewinds
from tailrace.edge._subscriber import Behind, Subscriber
from tailrace.edge._sync import LOST, Sync
from tailrace.log import Generations
from tailrace.wire import Connect, CursorError, bucket, decode_cursor, encode_control, with_comment, with_id, with_retry


class Starter:
    """Finds out where streams begin, and begins them."""

    def __init__(self, core: Core, hub: Hub, sync: Sync) -> None:
        self._tails, self._hub, self._sync = core.tails, hub, sync
        self._config, self._rewinds = core.config, Rewinds(core.logs, self._need_redis)

    def begin_at_once(self, request: StreamRequest) -> Behind | None:
        """Return where a stream begins if that holds whatever Redis says; for any other ask `begin`."""
        if self._sync.away or (request.rewind and not request.cursor):
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
            raise BusyError(f"Redis is away: {error}", "redis") from error

    async def _resumed(self, request: StreamRequest) -> Behind:
        try:
            cursor = decode_cursor(request.cursor, len(self._tails))
        except CursorError as error:
            behind = Behind(self._hub.position)
            behind.reset = str(error)
            return behind
        known: dict[int, Generations] = {}
        while unknown := [shard for shard, place in enumerate(cursor) if holds(self._tails[shard], place, known.get(shard)) is None]:
            self._need_redis(unknown)
            for shard in unknown:
                known[shard] = await self._sync.look(shard)
        behind = Behind(self._hub.position)
        for shard, place in enumerate(cursor):
            if holds(self._tails[shard], place, known.get(shard)):
                behind.positions[shard] = place.position
            else:
                behind.reset = LOST
        self._need_redis_for_histories(request, behind)
        return behind

    def _need_redis(self, shards: Iterable[int]) -> None:
        if self._sync.away.intersection(shards):
            raise BusyError("Redis is away", "redis")

    def _need_redis_for_histories(self, request: StreamRequest, behind: Behind) -> None:
        shards = len(self._tails)
        for channel in request.channels:
            shard = bucket(channel, shards)
            if behind.positions[shard] < self._tails[shard].ring.base:
                self._need_redis([shard])

    async def _rewound(self, request: StreamRequest) -> Behind:
        shards = len(self._tails)
        labels = [tail.label for tail in self._tails]
        self._need_redis([bucket(name, shards) for name in request.channels])
        starts = {name: await self._rewinds.first(name, request.rewind) for name in request.channels}
        behind = Behind(self._hub.position)
        if labels != [tail.label for tail in self._tails]:
            return behind  # what was read belongs to another generation
        began = tuple(behind.positions)
        for name in request.channels:
            shard = bucket(name, shards)
            behind.excused[name] = began[shard]
            behind.starts[name] = start = starts[name] or began[shard] + 1
            behind.positions[shard] = min(behind.positions[shard], start - 1)
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
            )
        )
        if not (behind and behind.reset):  # a reset brings the cursor
            connect = with_id(connect, cursor_at(self._tails, self._hub.position_of(subscriber)))
        return with_comment(with_retry(connect, jittered(config.retry_ms)), "tailrace")
