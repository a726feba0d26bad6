"""A steady load over several channels, through Pusher and workers, and a crowd of clients that is held against it."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random

from tailrace.push import Pusher, QueueFullError, RedisAwayError
from tests.prove.frame import Count
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until
from tests.system.checker import Judge, Verdict, forks

_PAUSE_S = 0.05
_FILLER = "x" * 3000
_CLEAN = Verdict()


class Pushing:
    """Pushes 0, 1, 2, ... to each channel, one after another, each under a key, and again until it is accepted."""

    def __init__(self, redis_url: str, channels: Sequence[str], rate: float, *, filler_every: int = 10) -> None:
        """`rate` is of all channels together, per second; each `filler_every`-th event has 3 KB, the others have few bytes."""
        self._url, self._pause_s, self._filler_every = redis_url, len(channels) / rate, filler_every
        self.accepted: dict[str, list[int]] = {channel: [] for channel in channels}
        self._begun: Counter[str] = Counter()
        self.repeats = 0
        """Pushes that had to be sent again."""
        self._stop = asyncio.Event()

    @property
    def count(self) -> int:
        """How many pushes were accepted."""
        return sum([len(numbers) for numbers in self.accepted.values()])

    def owed(self) -> Mapping[str, int]:
        """Give, per channel, the first push that hasn't begun."""
        return dict(self._begun)

    async def run(self) -> None:
        """Push until `stop`."""
        async with Pusher(self._url, timeout_s=5) as pusher, asyncio.TaskGroup() as group:
            for place, channel in enumerate(self.accepted):
                group.create_task(self._channel(pusher, channel, self._pause_s * place / len(self.accepted)))

    def stop(self) -> None:
        """End each channel after the push that is under way."""
        self._stop.set()

    async def _channel(self, pusher: Pusher, channel: str, offset_s: float) -> None:
        due = time.monotonic() + offset_s
        while not await self._stopped(due - time.monotonic()):
            number = self._begun[channel]
            self._begun[channel] += 1
            data = {"n": number, "c": channel} | ({"filler": _FILLER} if self._filler_every and number % self._filler_every == 0 else {})
            while not await self._push(pusher, channel, number, data):
                self.repeats += 1
                await asyncio.sleep(_PAUSE_S)
            self.accepted[channel].append(number)
            due = max(due + self._pause_s, time.monotonic() - 1)

    async def _push(self, pusher: Pusher, channel: str, number: int, data: Mapping[str, object]) -> bool:
        try:
            await pusher.push(channel, data, key=f"{channel}/{number}", receipt=False)
        except (RedisAwayError, QueueFullError):
            return False
        return True

    async def _stopped(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(max(wait_s, 0)):
                await self._stop.wait()
        except TimeoutError:
            pass
        return self._stop.is_set()


class Crowd:
    """Clients, and what is to be said of what they saw."""

    def __init__(self, clients: Sequence[SteadyClient], accepted: Mapping[str, Sequence[int]]) -> None:
        self.clients, self._accepted = clients, accepted
        self._judges = [Judge({channel: accepted[channel] for channel in client.channels}) for client in clients]
        self._told = Verdict()
        self.events = 0
        """Seen by all together."""

    async def settled(self, quiet_s: float = 30) -> Count:
        """Wait until all that was accepted so far has come, and say what is wrong that wasn't when this was asked before.

        Where none of it has come for so long, who hasn't got it has lost it.
        """
        upto = {channel: numbers[:] for channel, numbers in self._accepted.items() if numbers}
        if not await self._caught_up(upto, quiet_s):
            print("some have not got everything in time", file=sys.stderr)
        seen = {client.client_id: client.seen[:] for client in self.clients}
        for client, judge in zip(self.clients, self._judges, strict=True):
            judge.take(seen[client.client_id])
            self.events += len(seen[client.client_id])
            client.seen.clear()
        verdict = sum([judge.verdict({channel: numbers[-1] for channel, numbers in upto.items()}) for judge in self._judges], Verdict())
        told, self._told = self._told, verdict
        receded = [pair for client in self.clients for pair in client.receded]
        for client in self.clients:
            client.receded.clear()
        count = count_of(verdict, told) + Count(forks=len(forks(seen)), other=len(receded))
        if receded:
            print(f"ids that went back: {len(receded)}, such as {receded[0]}", file=sys.stderr)
        for kind in ("silent", "doubled", "reordered", "forks"):
            if getattr(count, kind):
                print(f"{kind}: {getattr(count, kind)}, such as {getattr(verdict, kind, forks(seen))[-1]}", file=sys.stderr)
        return count

    async def _caught_up(self, upto: Mapping[str, Sequence[int]], quiet_s: float) -> bool:
        before, since = -math.inf, time.monotonic()
        while time.monotonic() - since < quiet_s:
            with suppress(TimeoutError):
                return bool(await wait_until(lambda: all(client.has(upto) for client in self.clients), 1))
            if (come := self._come(upto)) > before:
                before, since = come, time.monotonic()
        return False

    def _come(self, upto: Mapping[str, Sequence[int]]) -> int:
        """Add up how far each client has come in each of its channels."""
        pairs = [(client, channel) for client in self.clients for channel in client.channels if channel in upto]
        return sum([min(client.latest.get(channel, -1), upto[channel][-1]) for client, channel in pairs])


def count_of(verdict: Verdict, told: Verdict = _CLEAN) -> Count:
    """Count what is wrong, beyond what was told before."""
    return Count(
        lost=len(verdict.lost) - len(told.lost),
        doubled=len(verdict.doubled) - len(told.doubled),
        reordered=len(verdict.reordered) - len(told.reordered),
        silent=len(verdict.silent) - len(told.silent),
    )


def some(dice: Random, channels: Sequence[str], most: int) -> list[str]:
    """Choose one to `most` channels."""
    return sorted(dice.sample(channels, dice.randint(1, min(most, len(channels)))))
