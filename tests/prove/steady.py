"""Half an hour of steady load with clients that come and go: memory and files don't grow."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.prove.frame import FAULTS, PATIENCE_S, Count, Plan, Trial
from tests.prove.load import Crowd, Pushing, some
from tests.prove.site import Site, running, together
from tests.support.service import Service
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until

_ROOMS = [f"room:{number}" for number in range(20)]
_CLIENTS, _RATE = 200, 50.0
_SAMPLES = 120
_SETTLED_S = 900
"""Shorter runs say nothing of growth: rings and histories are still filling."""
_MOST_KIB_AN_HOUR, _MOST_FILES = 4096, 5
_FLAGS = ("--ring-entries", "5000", "--retry-ms", "200")


class Sample(NamedTuple):
    kib: int
    files: int


async def run(plan: Plan) -> AsyncIterator[Count]:
    dice, step_s = plan.dice(), max(1, plan.amount // _SAMPLES)
    async with running(edges=_FLAGS, workers=("--log-age-s", "120", "--dedupe-s", "120", "--history", "*=100/262144/120")) as site:
        parts = {"edge": site.edges[0], "worker": site.workers[0]}
        samples: dict[str, list[Sample]] = {name: [] for name in parts}
        pushing = Pushing(site.redis.url, _ROOMS, _RATE)
        clients = [SteadyClient(site.edges, some(dice, _ROOMS, 4), owed=pushing.owed) for _ in range(_CLIENTS)]
        crowd = Crowd(clients, pushing.accepted)
        async with together(*[client.run for client in clients], pushing.run, lambda: _come_and_go(dice, clients)):
            await wait_until(lambda: all(client.connects for client in clients), PATIENCE_S)
            for _ in range(0, plan.amount, step_s):
                await asyncio.sleep(step_s)
                for name, part in parts.items():
                    samples[name].append(_look(part))
                grown = [_grows(found, step_s) for found in samples.values()] if len(samples["edge"]) * step_s >= plan.amount else []
                yield await crowd.settled() + Count(done=step_s, other=sum(grown), figures=_figures(samples, step_s, crowd, site))
            pushing.stop()


async def _come_and_go(dice: Random, clients: list[SteadyClient]) -> None:
    while True:
        await asyncio.sleep(0.2)
        stream = dice.choice(clients).stream
        if stream is not None:
            stream.cut()


def _look(part: Service) -> Sample:
    process = Path(f"/proc/{part.pid}")
    pages = int(process.joinpath("statm").read_text().split()[1])
    return Sample(pages * 4, len(list(process.joinpath("fd").iterdir())))


def _slope(samples: list[Sample], step_s: int) -> float:
    """Return the growth in KiB an hour over the last half, by least squares."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0
    slope, _ = statistics.linear_regression([place * step_s / 3600 for place in range(len(half))], [sample.kib for sample in half])
    return slope


def _grows(samples: list[Sample], step_s: int) -> bool:
    if len(samples) * step_s < _SETTLED_S:
        return False
    half = samples[len(samples) // 2]
    return _slope(samples, step_s) > _MOST_KIB_AN_HOUR or samples[-1].files > half.files + _MOST_FILES


def _figures(samples: dict[str, list[Sample]], step_s: int, crowd: Crowd, site: Site) -> dict[str, float | str]:
    figures: dict[str, float | str] = {
        "events seen": crowd.events,
        "reconnects": sum([client.connects - 1 for client in crowd.clients]),
        "parts that ended": sum([part.returncode is not None for part in (*site.edges, *site.workers)]),
    }
    for name, found in samples.items():
        figures[f"{name}: MiB at first, at half time, at last"] = ", ".join(
            [f"{found[place].kib / 1024:.1f}" for place in (0, len(found) // 2, -1)]
        )
        figures[f"{name}: growth in the second half, KiB/h"] = round(_slope(found, step_s))
        figures[f"{name}: open files at half time, at last"] = f"{found[len(found) // 2].files}, {found[-1].files}"
    return figures


TRIAL = Trial(
    name="steady",
    does=f"a second of {_RATE:g} pushes/s for {_CLIENTS} clients that come and go; afterwards memory and open files have not grown",
    unit="seconds",
    full=1800,
    few=3,
    minutes=31,
    run=run,
    looks_for=FAULTS,
)
