"""Everything that reads bytes which others chose, under mutated input."""

from collections.abc import AsyncIterator

from anyio.lowlevel import checkpoint

from tests.fuzz.targets import TARGETS, report, run as run_input
from tests.prove.frame import Count, Plan, Trial

_AT_ONCE = 100
"""Inputs of each target in a step."""


async def run(plan: Plan) -> AsyncIterator[Count]:
    first = plan.seed * plan.amount  # so that another seed brings other inputs
    for start in range(0, plan.amount // len(TARGETS), _AT_ONCE):
        seeds = range(first + start, first + min(start + _AT_ONCE, plan.amount // len(TARGETS)))
        broken = sum([_is_broken(target, seed) for target in TARGETS for seed in seeds])
        yield Count(done=len(seeds) * len(TARGETS), other=broken)
        await checkpoint()


def _is_broken(target: str, seed: int) -> bool:
    try:
        run_input(target, seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed has to be told
        print(report(target, seed, error))
        return True
    return False


TRIAL = Trial(
    name="fuzz",
    does=f"mutated {', '.join(TARGETS)}: each is read as the contract says or refused by its own error, and nothing else is lost for it",
    unit="inputs",
    full=8_000_000,
    few=8_000,
    minutes=15,
    run=run,
    looks_for=("other",),
)
TRIALS = (TRIAL,)
