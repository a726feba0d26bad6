"""What a trial is: a seeded run of real parts, long enough to bound how often something can go wrong."""

import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

FAULTS = ("lost", "doubled", "reordered", "silent", "forks", "other")
PATIENCE_S = 60.0
"""How long a trial's own clients wait before they give up: that the machine is slow is no fault."""
DELIVERY = ("lost", "doubled", "reordered", "silent", "forks")


class Plan(NamedTuple):
    """What a run is told."""

    amount: int
    """How many of the trial's units are to be done."""
    seed: int

    def dice(self) -> random.Random:
        """Give the run's chance; equal seeds make equal choices."""
        return random.Random(self.seed)


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of a trial has added; figures replace those of the same name."""

    done: int = 0
    """Of the plan's amount."""
    lost: int = 0
    """Accepted, and never seen."""
    doubled: int = 0
    reordered: int = 0
    """Came after a later one."""
    silent: int = 0
    """Lost, and nobody was told."""
    forks: int = 0
    """Seen in different orders by two subscribers."""
    other: int = 0
    """Whatever else is wrong: a process that ended, a goal that was missed, a disagreement with a model."""
    figures: dict[str, float | str] = {}
    """What was measured, by a name with its unit (`"p99 ms"`)."""

    @property
    def faults(self) -> int:
        return self.lost + self.doubled + self.reordered + self.silent + self.forks + self.other

    def __add__(self, step: "Count") -> "Count":
        sums = {name: getattr(self, name) + getattr(step, name) for name in ("done", *FAULTS)}
        return Count(**sums, figures=self.figures | step.figures)


async def _nothing(_: Plan) -> AsyncIterator[Count]:
    yield Count()


class Trial(NamedTuple):
    """One row of docs/internals/reliability.md."""

    name: str
    """Names it on the command line and in the record."""
    does: str
    """What is done, as a row of a table says it."""
    unit: str
    """What is counted: kills, histories, minutes."""
    full: int
    """How many of these the long tier does, ..."""
    few: int
    """... and how many `make test`."""
    minutes: float
    """About how long the full amount takes."""
    run: Callable[[Plan], AsyncIterator[Count]] = _nothing
    looks_for: tuple[str, ...] = DELIVERY
    """The kinds of faults that it can find."""
    twin: bool = False
    """A protection is off: the run must find faults."""

    def passed(self, count: Count) -> bool:
        return count.done > 0 and bool(count.faults) is self.twin


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    count: Count
    took_s: float


async def carry_out(trial: Trial, plan: Plan, show: Callable[[Count], None] = lambda _: None) -> Outcome:
    """Run a trial to its end, and show each step's sum."""
    began, total = time.monotonic(), Count()
    async for step in trial.run(plan):
        total += step
        show(total)
    return Outcome(total, time.monotonic() - began)
