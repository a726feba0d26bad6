"""Heartbeats, spread evenly over their period."""

import asyncio
import time
from collections.abc import Sequence

from tailrace.edge._context import Core
from tailrace.edge.streams._frames import chunked, cursor_at, rfc3339
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.wire import Heartbeat, encode_control, with_id

_SPOKES = 30


class Heartbeats:
    """A wheel of subscribers: a turn takes `heartbeat_s`, and each spoke holds a share of them."""

    def __init__(self, core: Core, hub: Hub) -> None:
        self._tails, self._hub, self._meter = core.tails, hub, core.meter
        self._heartbeat_s = core.config.heartbeat_s
        self._wheel: list[set[Subscriber]] = [set() for _ in range(_SPOKES)]
        self._now = 0

    def add(self, subscriber: Subscriber) -> None:
        """Give a subscriber its first heartbeat one period from now."""
        self._wheel[self._now].add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        for spoke in self._wheel:
            spoke.discard(subscriber)

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
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
                continue  # the client must see the reset before any cursor that is valid only after it
            elif self._hub.position_of(subscriber) == position:
                connection.write(framed if connection.framed else shared)
            else:
                subscriber.write(with_id(block, self._hub.cursor_of(subscriber)))
