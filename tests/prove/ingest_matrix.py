"""The kill matrix: workers are killed, cut off or paused beyond their lease, or Redis is killed, at seven points in the life of a job."""

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

from tests.prove.frame import Count, Plan, Trial
from tests.prove.ingest_pair import CHANNELS, SHARDS, Pair, Servers
from tests.prove.steps import Say, steps
from tests.support.redis import KEPT, Kind, RedisServer, executable
from tests.support.trap import Call, Snare
from tests.support.wait import wait_until

_PAIRS, _SHOTS = 6, 3
"""Pairs at most, and faults that are worth a pair's start."""
_CAUGHT_S = 30.0
_MANY = 700
"""Events of an array or function: enough for three commits on each shard."""


def _nth(script: str, number: int, shard: int | None = None) -> Callable[[Call], bool]:
    seen = itertools.count(1)
    place = b"" if shard is None else b"{%d}" % shard
    return lambda call: call.script == script and place in call.key and next(seen) == number


def _nothing(_: Call) -> None:
    return None


def _between_shards(chance: random.Random) -> Snare:
    first = chance.randrange(SHARDS)
    kept = b"{%d}" % (1 - first)
    return Snare(_nth("commit", 1, first), _nothing, after=True, kept=lambda call: call.script == "commit" and kept in call.key)


def _in_the_middle(script: str) -> Callable[[random.Random], Snare]:
    return lambda chance: Snare(_nth(script, 2, chance.randrange(SHARDS)), _nothing, after=chance.random() < 0.5)


POINTS: dict[str, Callable[[random.Random], Snare]] = {
    "after the take, before the commit is sent": lambda _: Snare(_nth("commit", 1), _nothing),
    "after the commit was sent, before its answer": lambda _: Snare(_nth("commit", 1), _nothing, after=True),
    "after the commit was answered, before finish": lambda _: Snare(_nth("finish", 1), _nothing),
    "after finish was sent, before its answer": lambda _: Snare(_nth("finish", 1), _nothing, after=True),
    "between commits on two shards": _between_shards,
    "in the middle of a push_many": _in_the_middle("commit"),
    "while a function's events are appended, between two emits": _in_the_middle("emit"),
}
TAKEN, SENT, ANSWERED, *_, MANY, FUNCTION = POINTS
_SENT = {"kill": ("never", "at once", "late"), "restart": ("never", "at once")}
"""Whether what was caught is sent on after all. Who lives on waits for it, so it can't be late where others don't go on instead."""


class Shot(NamedTuple):
    """One fault to come."""

    point: str
    fault: str
    """`kill`, `cut` (the connection), `stop` (beyond the lease, and back), or `restart` (of Redis, killed)."""
    seed: int


async def shoot(pair: Pair, shot: Shot) -> Count:
    """Let a fault happen at its point, let the workers go on, and see what the logs hold."""
    chance = random.Random(shot.seed)
    caught = pair.spring(POINTS[shot.point](chance), shot.fault, chance)
    await _load(pair, shot.point, chance)
    worker = (await asyncio.wait_for(caught, _CAUGHT_S)).worker
    sent = chance.choice(_SENT.get(shot.fault, ("late",)))
    if sent == "at once":
        pair.trap.let_go()
    elif shot.fault == "restart":
        pair.trap.cut()
    await pair.push(chance.randrange(CHANNELS, 2 * CHANNELS))
    if shot.fault == "restart":
        await pair.again
    await pair.settled()
    asked = pair.trap.calls[worker, "acquire"]
    if shot.fault == "stop":
        pair.signal(worker, signal.SIGCONT)
    if sent == "late":
        pair.trap.let_go()
    pair.trap.cut()
    await pair.push(chance.randrange(CHANNELS, 2 * CHANNELS))
    await pair.again
    if shot.fault == "stop":  # it has to learn that it is out
        await wait_until(lambda: pair.trap.calls[worker, "acquire"] > asked, _CAUGHT_S)
    await pair.settled()
    return await pair.check()


async def _load(pair: Pair, point: str, chance: random.Random) -> None:
    if point == FUNCTION:
        await pair.call(_MANY)
    elif point == MANY:
        await pair.push_many(_MANY)
    else:
        await pair.push_many(chance.randrange(CHANNELS, 30))
        await pair.push(chance.randrange(0, 8))


def _shots(plan: Plan, fault: str, points: Iterable[str]) -> Iterator[Shot]:
    """Give so many faults, the points in turn."""
    dice = plan.dice()
    for point in itertools.islice(itertools.cycle(points), plan.amount):
        yield Shot(point, fault, dice.getrandbits(32))


def _matrix(fault: str, points: Iterable[str] = POINTS, protection: str = "") -> Callable[[Plan], AsyncIterator[Count]]:
    """Make a run that lets faults of one kind happen, in several pairs of workers at once."""

    def run(plan: Plan) -> AsyncIterator[Count]:
        left = _shots(plan, fault, points)

        async def one(pair: Pair, say: Say) -> None:
            async with pair.running("--functions", "tests.prove.emitting", "--log-level", "error"):
                await pair.push_many(10)  # from here on Redis knows the scripts
                await pair.settled()
                for shot in left:
                    try:
                        say(await shoot(pair, shot) + Count(done=1))
                    except TimeoutError as error:
                        print(f"{shot}: {error}")
                        say(Count(done=1, other=1))
                        return

        async def work(say: Say) -> None:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                places = _servers_each(stack) if fault == "restart" else itertools.cycle(_servers(stack))
                for number, where in enumerate(itertools.islice(places, min(_PAIRS, -(-plan.amount // _SHOTS)))):
                    tasks.create_task(one(Pair(where, f"pair{number}", protection), say))

        return steps(work)

    return run


def _servers(stack: AsyncExitStack, *flags: str) -> Iterator[Servers]:
    """Give servers for queues and logs: the same, or each its own, of both kinds where both are installed."""
    kinds: list[Kind] = ["valkey", "redis" if executable("redis") else "valkey"]
    first, second = [stack.enter_context(RedisServer(kind, *flags)) for kind in kinds]
    yield Servers(first, first)
    yield Servers(second, first)
    yield Servers(second, second)
    yield Servers(first, second)


def _servers_each(stack: AsyncExitStack) -> Iterator[Servers]:
    """Give each pair servers that nobody else has, and that keep what they have acknowledged."""
    for number in itertools.count():
        yield list(_servers(stack, *KEPT))[number % 4]


_WHERE = (
    "at a point in the life of a job: between take, commits, finish and their answers, on two shards, inside a `push_many`, between emits"
)


def _trial(fault: str, does: str, full: int, minutes: float) -> Trial:
    seen = ("lost", "doubled", "reordered", "other")
    return Trial(f"points-{fault}", f"{does} {_WHERE}", f"{fault}s", full, len(POINTS), minutes, _matrix(fault), seen)


def _twin(protection: str, does: str, fault: str, *points: str) -> Trial:
    seen = ("lost", "doubled", "reordered", "other")
    return Trial(f"without-{protection}", does, f"{fault}s", 24, 4, 0.5, _matrix(fault, points, protection), seen, twin=True)


TRIALS = (
    _trial("kill", "a worker is killed", 200 * len(POINTS), 9),
    _trial("cut", "a worker's connection is lost", 100 * len(POINTS), 3),
    _trial("stop", "a worker is paused beyond its lease, and wakes as a zombie,", 100 * len(POINTS), 6),
    _trial("restart", "Redis, of the queue, the logs or both, is killed and started again, with an append-only file,", 50 * len(POINTS), 3),
    _twin("epochs", "a log appends what any worker sends; one is paused beyond its lease", "stop", TAKEN),
    _twin("numbers", "a log runs each commit that comes; a connection is lost before a commit's answer", "cut", SENT),
    _twin("outcomes", "a log doesn't tell the next holder what it has; the holder is killed before finish", "kill", SENT, ANSWERED),
    _twin("turns", "what a dead holder left isn't taken first; the holder is killed before its commit", "kill", TAKEN),
)
