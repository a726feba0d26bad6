"""The resume rule against a plain list: random histories of append, trim, loss, restart and reconnect."""

from collections.abc import AsyncIterator
from random import Random

from anyio.lowlevel import checkpoint

from tests.edge.world import ACTIONS, play
from tests.prove.frame import Count, Plan, Trial

_AT_ONCE = 50


async def run(plan: Plan) -> AsyncIterator[Count]:
    done = 0
    while done < plan.amount:
        part = min(_AT_ONCE, plan.amount - done)
        broken = sum([_is_broken(plan.seed + number) for number in range(done, done + part)])
        done += part
        yield Count(done=part, other=broken)
        await checkpoint()


def _is_broken(seed: int) -> bool:
    dice = Random(seed)
    try:
        play(seed, dice.choices(range(ACTIONS), k=dice.randint(5, 80)))
    except AssertionError as error:
        print(f"history {seed}: {error}")
        return True
    return False


TRIAL = Trial(
    name="histories",
    does="random appends, trims, expiries, fail-overs with and without losses, crashes of edges, clients that leave and resume, on two "
    "shards and two edges: the resume rule agrees with a plain list",
    unit="histories",
    full=100_000,
    few=200,
    minutes=30,
    run=run,
    looks_for=("other",),
)
