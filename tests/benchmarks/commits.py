"""Commits: what an event costs Redis' core, beside a script that does nothing but the same writes."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import msgspec

from tailrace.events import LogWriter, NewEvent, outcome_field
from tailrace.redis import connect
from tailrace.wire import Keys
from tests.benchmarks._figures import Figures, Missing
from tests.benchmarks._process import SERVER, cpu_s, pin
from tests.benchmarks._queues import AOF
from tests.benchmarks._sides import frames
from tests.support.redis import Kind, RedisServer, executable

COMMITS, COST = "commits of 128 events", "Redis' CPU us/event"
COMMIT, BARE = "tailrace commit", "bare script"
_EVENTS = 128
_STRIDE = 7919  # a prime: one event after another goes to another channel
_WHOLE_HISTORY = 120
"""Entries after which a history is trimmed, as it will be from then on."""
_KEYS = Keys("tailrace")
_HEAD = f" {'1700000000000-0 abcdefgh 1700000000000-0'}"
"""As long as the links that an entry of ours has behind its channel."""
_BARE = """
local events, blocks, at = cmsgpack.unpack(ARGV[1]), ARGV[2], 1
for i = 1, #events, 2 do
  local head, block = events[i] .. ARGV[3], blocks:sub(at, at + events[i + 1] - 1)
  at = at + events[i + 1]
  local id = redis.call('XADD', KEYS[1], '*', 'h', head, 'b', block)
  redis.call('XADD', 'bare:history:' .. events[i], id, 'h', head, 'b', block)
  redis.call('SET', 'bare:last:' .. events[i], id)
end
"""

Write = Callable[[Sequence[NewEvent]], Awaitable[None]]


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 5
    channels: tuple[int, ...] = (1, 1000, 100_000)
    other_channels: tuple[int, ...] = (1000,)
    """On Redis, beside Valkey."""
    commits: int = 300
    """Of each side in each round."""
    most_before: int = 150_000
    """Events at most that are there before it begins."""


async def measure(figures: Figures, plan: Plan) -> None:
    """Measure both, one right after the other in each round."""
    if not figures.wants(COMMITS):
        return
    figures.say(COMMITS)
    both: Sequence[tuple[Kind, Sequence[int]]] = (("valkey", plan.channels), ("redis", plan.other_channels))
    for kind, sizes in both:
        for channels in sizes:
            await figures.attempt(f"{COMMITS}, {channels:,} channels", kind, partial(_compare, figures, plan, kind, channels), tries=2)


async def _compare(figures: Figures, plan: Plan, kind: Kind, channels: int) -> None:
    binary = executable(kind)
    if not binary:
        raise Missing("redis-server (Debian: apt-get install redis-server)")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.partition("v=")[2].split()[0]
    size = f"{channels:,} channel" + ("s" if channels > 1 else "") + (f", Redis {version}" if kind == "redis" else "")
    async with AsyncExitStack() as stack:
        sides = [(name, *await stack.enter_async_context(start(kind))) for name, start in ((COMMIT, _committing), (BARE, _bare))]
        before = min(plan.most_before, channels * _WHOLE_HISTORY)
        for _, _, write in sides:
            await _written(write, channels, range(max(1, before // _EVENTS)))
        for number in range(plan.rounds):
            commits = range((number + 1) * before, (number + 1) * before + plan.commits)
            for name, pid, write in sides if number % 2 else reversed(sides):
                used = cpu_s(pid)
                await _written(write, channels, commits)
                figures.add(COMMITS, COST, size, name, (cpu_s(pid) - used) / plan.commits / _EVENTS * 1e6)


async def _written(write: Write, channels: int, commits: range) -> None:
    for commit in commits:
        places = [(commit * _EVENTS + index) * _STRIDE % channels for index in range(_EVENTS)]
        await write([NewEvent(f"{commit}:{index}", f"room:{place}", frames()) for index, place in enumerate(places)])


@asynccontextmanager
async def _committing(kind: Kind) -> AsyncIterator[tuple[int, Write]]:
    """Give a server and what commits to it as a worker does."""
    with RedisServer(kind, *AOF) as server:
        pin(server.pid, SERVER)
        redis, numbers = connect(server.url), count(1)
        writer = LogWriter(redis, _KEYS, 0)
        await writer.raise_epoch(0, 1)

        async def write(events: Sequence[NewEvent]) -> None:
            number = next(numbers)
            await writer.commit(0, 1, number, [outcome_field(1, number - 1)], events)

        yield server.pid, write
        await redis.aclose()


@asynccontextmanager
async def _bare(kind: Kind) -> AsyncIterator[tuple[int, Write]]:
    with RedisServer(kind, *AOF) as server:
        pin(server.pid, SERVER)
        redis = connect(server.url)
        script = redis.register_script(_BARE)

        async def write(events: Sequence[NewEvent]) -> None:
            each: list[Any] = [part for event in events for part in (event.channel, len(event.block))]
            await script(keys=["bare:log"], args=[msgspec.msgpack.encode(each), b"".join([event.block for event in events]), _HEAD])

        yield server.pid, write
        await redis.aclose()
