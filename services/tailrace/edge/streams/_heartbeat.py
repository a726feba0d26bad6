"""The heart: heartbeats, spread over their period, and an eye on who makes no progress."""

import asyncio
import math
import time
from collections.abc import Sequence

from tailrace.edge._context import Core
from tailrace.edge.streams._frames import chunked, cursor_at, rfc3339
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._replay import CatchUp
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.wire import Heartbeat, encode_control, with_id

_SPOKES = 30
_LOOK_EVERY_S = 0.25
_AHEAD_S = 1.75
"""A cursor ahead of this edge's reader waits 2 s at most, the next look included."""


class Heart:
    """A wheel of subscribers: each turn takes `heartbeat_s`, each spoke has its share of them."""

    def __init__(self, core: Core, hub: Hub, catch_up: CatchUp) -> None:
        self._tails, self._hub, self._catch_up, self._meter = core.tails, hub, catch_up, core.meter
        self._heartbeat_s, self._stall_s = core.config.heartbeat_s, core.config.stall_s
        self._wheel: list[set[Subscriber]] = [set() for _ in range(_SPOKES)]
        self._now = 0

    def add(self, subscriber: Subscriber) -> None:
        """Give a subscriber its first heartbeat one period from now."""
        self._wheel[self._now].add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        for spoke in self._wheel:
            spoke.discard(subscriber)

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(self._heartbeat_s / _SPOKES)
            self._now = (self._now + 1) % _SPOKES
            self._beat(list(self._wheel[self._now]))

    def _beat(self, subscribers: Sequence[Subscriber]) -> None:
        if not subscribers:
            return
        block = encode_control(Heartbeat(rfc3339(time.time())))
        position = self._hub.position
        shared = with_id(block, cursor_at(self._tails, position))
        framed = chunked(shared)
        for subscriber in subscribers:
            connection = subscriber.connection
            if connection is None:
                continue
            if connection.paused:
                if not subscriber.behind:
                    self._meter.fell_behind += 1
                    self._hub.put_behind(subscriber, self._hub.position_of(subscriber), slow=True)
            elif subscriber.behind and subscriber.behind.reset:
                continue  # no cursor of the time after it may be sent before the reset is
            elif self._hub.position_of(subscriber) == position:
                connection.write(framed if connection.framed else shared)
            else:
                subscriber.write(with_id(block, self._hub.cursor_of(subscriber)))

    async def watch(self) -> None:
        """Look after those that are behind, for ever."""
        while True:
            await self._hub.any_behind.wait()
            await asyncio.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            if not self._hub.behind:
                self._hub.any_behind.clear()
            for subscriber in list(self._hub.behind):
                behind = subscriber.behind
                if behind and subscriber.connection is not None:
                    self._look_at(subscriber, behind, now)

    def _look_at(self, subscriber: Subscriber, behind: Behind, now: float) -> None:
        connection = subscriber.connection
        if connection is None:
            return
        if not connection.paused:
            behind.stall = (0.0, 0)
            if behind.since and now - behind.since > _AHEAD_S:
                behind.since = math.inf  # once
                self._catch_up.put_off(subscriber)
            else:
                self._catch_up.serve(subscriber)
            return
        since, backlog = behind.stall
        if not since or connection.backlog() != backlog:
            behind.stall = (now, connection.backlog())
        elif now - since > self._stall_s:
            self._meter.cut += 1
            connection.cut()
