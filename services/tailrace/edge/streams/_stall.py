"""Stalls: retries subscribers that are behind, and cuts those whose client takes nothing for `stall_s`."""

import asyncio
import math
import time

from tailrace.edge._context import Core
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._replay import CatchUp
from tailrace.edge.streams._subscriber import Behind, Subscriber

_LOOK_EVERY_S = 0.25
_AHEAD_S = 1.75
"""How long a cursor that is ahead of this edge's reader may wait; with the interval between two looks, at most 2 s."""


class StallWatch:
    """Looks at the subscribers that are behind at a fixed interval, and sleeps while there are none."""

    def __init__(self, core: Core, hub: Hub, catch_up: CatchUp) -> None:
        self._hub, self._catch_up, self._meter = hub, catch_up, core.meter
        self._stall_s = core.config.stall_s

    async def run(self) -> None:
        """Look at all subscribers that are behind, until cancelled."""
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
                behind.since = math.inf  # put off only once
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
