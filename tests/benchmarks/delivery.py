"""Delivery: what an event costs on its way to many clients, and what a client costs that waits."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks._figures import Figures
from tests.benchmarks._parts import ACCEPT, BURST, FLOOR, GENERATOR, IDLE, LATENCY, SINGLE, Run, burst, idle, latency, replay, single
from tests.benchmarks._sides import EDGE, NCHAN, PUSHPIN, SIDES, Side

__all__ = ["ACCEPT", "BURST", "FLOOR", "GENERATOR", "IDLE", "LATENCY", "SINGLE", "Plan", "measure"]
_GOALS = (EDGE, NCHAN)
"""The sides whose figures, with the floor's, decide goals."""
_SLOW, _FEW_CLIENTS = PUSHPIN, 1000
"""What is slow is measured with few clients. Other sides that decide no goal are measured with more in one round."""
_BURST_CLIENTS = 1000
_WHOLE_S = 300


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 3
    other_rounds: int = 2
    """Of the sides that decide no goal, and of the largest size. Those that are slow have one."""
    sizes: tuple[int, ...] = (100, 1000, 5000)
    largest: int = 15_000
    single_s: float = 2.5
    """For few clients it is twice as long, since they get few deliveries."""
    burst_s: float = 2.0
    """About: sides get a burst of as many events as they can deliver in this time."""
    latency_s: float = 3.0
    idle: int = 3000


async def measure(figures: Figures, plan: Plan, folder: Path) -> None:
    """Measure all sides, one after another in each round."""
    run = Run(figures, folder, plan.single_s, plan.latency_s, plan.burst_s)
    for number in range(plan.rounds):
        if figures.wants(SINGLE, LATENCY, IDLE, ACCEPT, BURST):
            figures.say(f"delivery, round {number + 1} of {plan.rounds}")
        if figures.wants(SINGLE, LATENCY):
            await _in_turn(run, plan, number)
        for name in SIDES:
            of_rounds = plan.rounds if name in _GOALS else 1 if name == _SLOW else plan.other_rounds
            parts = (IDLE, ACCEPT, BURST) if name in _GOALS else (IDLE, ACCEPT, BURST, SINGLE, LATENCY)
            if figures.has(name) and number < of_rounds and figures.wants(*parts):
                whole = partial(_whole, run, plan, name, first=number == 0)
                await figures.attempt("delivery", name, whole, tries=2, longest_s=_WHOLE_S)
        if figures.wants(SINGLE, IDLE) and number < plan.other_rounds:
            await _largest(run, plan)


async def _in_turn(run: Run, plan: Plan, number: int) -> None:
    """Measure what decides goals: the servers run side by side, and at each size one is measured right after another."""
    async with AsyncExitStack() as stack:
        sides: list[tuple[str, Side | None]] = [(FLOOR, None)]

        async def start(name: str) -> None:
            sides.append((name, await stack.enter_async_context(SIDES[name](run.folder))))

        for name in filter(run.figures.has, _GOALS):
            await run.figures.attempt("start", name, partial(start, name), tries=2)
        first = number % len(sides)
        turn = sides[first:] + sides[:first]
        for clients in plan.sizes if run.figures.wants(SINGLE) else ():
            for name, side in turn:
                await run.figures.attempt(f"{SINGLE}, {clients:,} clients", name, partial(single, run, name, side, clients))
        for name, side in turn if run.figures.wants(LATENCY) else ():
            await run.figures.attempt(LATENCY, name, partial(latency, run, name, side))


async def _largest(run: Run, plan: Plan) -> None:
    """Measure the largest size, each server fresh, so that its memory says what so many connections take."""

    async def one(name: str) -> None:
        async with SIDES[name](run.folder) as side:
            await idle(run, name, side, plan.largest, accepts=False)
            if run.figures.wants(SINGLE):
                await single(run, name, side, plan.largest)

    if run.figures.wants(SINGLE):
        await run.figures.attempt(f"{SINGLE}, {plan.largest:,} clients", FLOOR, partial(single, run, FLOOR, None, plan.largest))
    for name in filter(run.figures.has, _GOALS):
        await run.figures.attempt(f"{plan.largest:,} clients", name, partial(one, name), tries=2)


async def _whole(run: Run, plan: Plan, name: str, *, first: bool) -> None:
    """Measure a server in all that wasn't measured in turn."""
    wants, attempt = run.figures.wants, run.figures.attempt
    sizes, clients = [*plan.sizes, plan.largest], plan.idle
    if name == _SLOW or not first:
        sizes = [size for size in sizes if size <= _FEW_CLIENTS]
    if name == _SLOW:
        clients = min(clients, _FEW_CLIENTS)
    async with SIDES[name](run.folder) as side:
        if wants(IDLE, ACCEPT):
            await idle(run, name, side, clients)
        for size in sizes if wants(SINGLE) and name not in _GOALS else ():
            await attempt(f"{SINGLE}, {size:,} clients", name, partial(single, run, name, side, size))
        if wants(LATENCY) and name not in _GOALS:
            await attempt(LATENCY, name, partial(latency, run, name, side))
        if wants(BURST):
            await attempt(BURST, name, partial(burst, run, name, side, _BURST_CLIENTS))
        if wants(ACCEPT) and side.replays:
            await attempt("replay", name, partial(replay, run, name, side, plan.idle))
