"""How streams are ended by the edge: each with a word about when to come back, or all at once."""

import asyncio
import time
from collections.abc import Set as AbstractSet

from tailrace.edge._config import EdgeConfig
from tailrace.edge.streams._frames import jittered
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.wire import Drain, encode_control, with_retry

_WAVE_S, _DRAIN_EACH_S, _FAREWELL_S = 0.05, 0.005, 1.0
_LOOKS = 20
"""How often a lifetime is looked at within itself."""


class Farewell:
    """Sends clients away. Nothing is lost by it: who comes back goes on from its cursor."""

    def __init__(self, config: EdgeConfig, subscribers: AbstractSet[Subscriber]) -> None:
        self._config, self._subscribers = config, subscribers
        self._sent: set[Subscriber] = set()

    async def drain(self) -> None:
        """End all streams in waves within `drain_s`; few are ended at once."""
        leaving = list(self._subscribers)
        spread_s = min(self._config.drain_s * 0.8, len(leaving) * _DRAIN_EACH_S)
        waves, began = max(1, round(spread_s / _WAVE_S)), time.monotonic()
        for wave in range(waves):
            for subscriber in leaving[wave::waves]:
                self.send_away(subscriber)
            due = began + spread_s * (wave + 1) / waves  # by the clock: where the loop is late, that must not add up
            await asyncio.sleep(max(0, due - time.monotonic()))
        await self._gone()

    async def retire(self) -> None:
        """Send away, for ever, whose stream has lasted as long as it may."""
        most_s = self._config.max_connection_age_s
        while most_s:
            await asyncio.sleep(min(1, most_s / _LOOKS))
            self._sent &= self._subscribers
            now = time.monotonic()
            for subscriber in list(self._subscribers):
                if now - subscriber.began > most_s * _share(subscriber) and subscriber not in self._sent:
                    self._sent.add(subscriber)
                    self.send_away(subscriber)

    def send_away(self, subscriber: Subscriber) -> None:
        """End a stream between two writes; a client that doesn't take even that is cut."""
        connection = subscriber.connection
        if connection is None:
            return
        if not connection.paused:
            retry_ms = jittered(self._config.retry_ms // 2)
            subscriber.write(with_retry(encode_control(Drain(retry_ms)), retry_ms))
        connection.end()
        if connection.backlog():
            asyncio.get_running_loop().call_later(self._config.stall_s, connection.cut)

    async def _gone(self) -> None:
        """Wait a moment until what was written is with the clients, then cut who hasn't taken it."""
        self.end_all()
        for _ in range(round(_FAREWELL_S / _WAVE_S)):
            if not self._subscribers:
                return
            await asyncio.sleep(_WAVE_S)
        self.cut_all()

    def cut_all(self) -> None:
        """Cut all connections, whatever they still had to be sent."""
        for subscriber in list(self._subscribers):
            if subscriber.connection is not None:
                subscriber.connection.cut()

    def end_all(self) -> None:
        """End all streams at once."""
        for subscriber in list(self._subscribers):
            if subscriber.connection is not None:
                subscriber.connection.end()


def _share(subscriber: Subscriber) -> float:
    """Return what part of its lifetime a stream gets, from 0.5 to 1: what began together must not end together."""
    return 0.5 + hash(subscriber.client) % 1024 / 2048
